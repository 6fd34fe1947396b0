"""Checks that can refuse and change nothing: of the machine, of a model's files, of a LoRA config, of an adapter.

No stage depends on this file: an output that exists passed them.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stages.files.errors import explained
from stages.model import model_errors
from stages.params.schema import HubModel, Lora, Model


def machine(model: Model) -> None:
    """Raise UserError where this machine lacks the GPU or the library that a setting needs; before any download."""
    import torch

    settings = [
        (model.backend == "unsloth", "backend: unsloth", "transformers", "unsloth"),
        (model.load_in_4bit, "load_in_4bit: true", "false", "bitsandbytes"),
        (model.use_liger_kernel, "use_liger_kernel: true", "false", "liger_kernel"),
    ]
    for asked, setting, instead, library in settings:
        if asked and not torch.cuda.is_available():
            raise model_errors.no_gpu(setting, instead)
        if asked and find_spec(library) is None:
            raise model_errors.not_installed(setting, library)


def cache_writable(folder: Path, variable: str) -> None:
    """Raise UserError where the folder of the models' cache cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise model_errors.cache_unwritable(folder, variable, error) from None


def snapshot(folder: Path, hub: HubModel) -> None:
    """Raise UserError for a model without safetensors, or one that only code of its own can run (auto_map)."""
    from transformers import CONFIG_MAPPING

    if not list(folder.glob("*.safetensors")):
        raise model_errors.hub_without_safetensors(hub)
    config = _json_object(folder / "config.json")
    if config is None:
        raise model_errors.hub_without_config(hub)
    if "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        raise model_errors.hub_with_code(hub)


@contextmanager
def readable(model: Model, folder: Path) -> Iterator[None]:
    """Raise UserError instead of a library's error for files that are damaged, incomplete or of an unknown kind."""
    from safetensors import SafetensorError

    damaged: tuple[type[Exception], ...] = (SafetensorError, OSError, ValueError)
    if model.source == "hub":
        damaged += (ImportError, KeyError, TypeError, AttributeError)  # a config of another kind of model
    try:
        yield
    except (*damaged, RuntimeError) as error:
        # A weight of another shape is a RuntimeError that names this option.
        if explained(error) or not (isinstance(error, damaged) or "ignore_mismatched_sizes" in str(error)):
            raise
        raise model_errors.unreadable(model, folder, error) from None


def lora_targets(network: Any, lora: Lora) -> None:
    """Raise UserError for a target module or a layer that the model lacks: PEFT passes over such a one silently."""
    modules = dict(network.named_modules())
    layers = {name: int(match[1]) for name in modules if (match := re.match(r".*?\.[^.]*\.(\d+)\.", name))}
    found = {
        target: [name for name in modules if name == target or name.endswith(f".{target}")]
        for target in lora.target_modules
    }
    embeddings = network.get_input_embeddings(), network.get_output_embeddings()
    if missing := [target for target, names in found.items() if not names]:
        matrices = [name for name, module in modules.items() if _is_matrix(module) and module not in embeddings]
        raise model_errors.no_such_module(missing, sorted({name.rpartition(".")[2] for name in matrices}))
    for target, names in found.items():
        if any(modules[name] is embedding for name in names for embedding in embeddings):
            raise model_errors.embedding_targeted(target)
    if lora.layers_to_transform is None:
        return
    there = {layers[name] for names in found.values() for name in names if name in layers}
    if missing := [str(layer) for layer in lora.layers_to_transform if layer not in there]:
        raise model_errors.no_such_layer(missing, there)
    chosen = set(lora.layers_to_transform)
    for target, names in found.items():
        if target not in modules and not any(layers.get(name) in chosen for name in names):
            raise model_errors.outside_of_layers(target)


def trained(tuned: Any) -> None:
    """Raise UserError where a trained weight is not finite."""
    for name, weight in tuned.named_parameters():
        if weight.requires_grad and not weight.isfinite().all():
            raise model_errors.diverged(name)


def adapter_files(config: Path, weights: Path) -> None:
    """Raise UserError for an adapter that lacks a file, is no LoRA, or has weights that are damaged or not finite."""
    from safetensors import SafetensorError, safe_open

    for path in (config, weights):
        if not path.is_file():
            others = sorted(other.name for other in path.parent.glob("adapter_model.*") if other != weights)
            raise model_errors.adapter_incomplete(path, others)
    if (_json_object(config) or {}).get("peft_type") != "LORA":
        raise model_errors.no_adapter_config(config)
    try:
        with safe_open(weights, framework="pt") as file:
            for name in sorted(file.keys()):
                if not file.get_tensor(name).isfinite().all():
                    raise model_errors.adapter_not_finite(weights, name)
    except SafetensorError as error:
        raise model_errors.adapter_damaged(weights, error) from None


def adapter_fits(folder: Path, weights: Path, tuned: Any) -> None:
    """Raise UserError where an attached adapter has weights that the model has no layer for, or lacks some."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(weights, framework="pt") as file:
        given = set(file.keys())
    wanted = get_peft_model_state_dict(tuned, save_embedding_layers=False).keys()
    for name in sorted(given ^ wanted):
        if "lora_" in name:
            raise model_errors.adapter_of_another(folder, name, adapter_has_it=name in given)


def _is_matrix(module: Any) -> bool:
    return getattr(getattr(module, "weight", None), "ndim", 0) == 2


def _json_object(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None
