"""What is asked before anything is written: adapter, packages, family, disk and memory."""

import shutil
from typing import Any

from stages.export import ADAPTER, EXPORT, export_errors, gguf_file, llama_library
from stages.model import adapter, base_model, checks
from stages.params.schema import Params

GB = 10**9
# Bytes a weight at most: blocks of q8_0 have a scale, and a narrow model's q4_k_m has wider types.
SIZES = {"f16": 2.0, "q8_0": 1.07, "q4_k_m": 0.8}
REST = GB // 10  # of tokenizers and indexes
LIBRARIES = GB


def before(params: Params) -> None:
    """Raise UserError where an export cannot be made on this machine."""
    checks.adapter_files(ADAPTER / adapter.CONFIG, ADAPTER / adapter.WEIGHTS)
    shapes = _shapes(params)
    if "gguf" in params.export.formats:
        gguf_file.check(shapes.config)
        llama_library.library()
    weights = [one.numel() for name, one in shapes.state_dict().items() if name not in shapes.all_tied_weights_keys]
    needed = disk(sum(weights), params)
    EXPORT.parent.mkdir(exist_ok=True)
    if (free := shutil.disk_usage(EXPORT.parent).free) < needed:
        raise export_errors.DISK(folder=EXPORT.parent, needed=needed / GB, free=free / GB)
    needed = memory(max(weights))
    if (free := _available()) < needed:
        raise export_errors.MEMORY(needed=needed / GB, free=free / GB)


def disk(weights: int, params: Params) -> float:
    """Bytes of an export of so many weights; what is merged is written for GGUF files too."""
    sizes = [4.0 if params.model.dtype == "float32" else 2.0]
    if "gguf" in params.export.formats:
        sizes += [SIZES[one] for one in params.export.quantizations]
    return weights * sum(sizes) + REST


def memory(largest: int) -> float:
    """Bytes of memory: the libraries, a shard of weights, and the largest tensor twice in float32."""
    from stages.export import merged

    return LIBRARIES + merged.SHARD + 8.0 * largest


def _shapes(params: Params) -> Any:
    """The base model by its config, its weights without numbers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = base_model.config_folder(params.model)
    with checks.readable(params.model, folder), torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, trust_remote_code=False))


def _available() -> float:
    """Bytes of memory that can be had without swapping."""
    import psutil

    return psutil.virtual_memory().available
