"""A LoRA adapter: where it may go, saved as safetensors and its config alone, and put beside a model again."""

import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

from stages.files import records
from stages.files.errors import UserError, naming, words
from stages.params.schema import Lora

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
REMEDY = "`dvc repro` trains one"


def check_targets(loaded: Any, lora: Lora) -> None:
    """Raise UserError for a target module or a layer that the model lacks: PEFT passes over such a one silently."""
    modules = dict(loaded.named_modules())
    layers = {name: int(match[1]) for name in modules if (match := re.match(r".*?\.[^.]*\.(\d+)\.", name))}
    found = {
        target: [name for name in modules if name == target or name.endswith(f".{target}")]
        for target in lora.target_modules
    }
    ends = loaded.get_input_embeddings(), loaded.get_output_embeddings()
    if missing := [target for target, names in found.items() if not names]:
        matrices = [name for name, module in modules.items() if _is_matrix(module) and module not in ends]
        there = {name.rpartition(".")[2] for name in matrices}
        choice = f"choose of {', '.join(sorted(there))}"
        raise UserError(f"lora.target_modules: {', '.join(missing)}: the model has no such module: {choice}")
    for target, names in found.items():
        if any(modules[name] is end for name in names for end in ends):
            raise UserError(f"lora.target_modules: {target}: embeddings stay frozen here: leave it out")
    if lora.layers_to_transform is None:
        return
    there = {layers[name] for names in found.values() for name in names if name in layers}
    if missing := [str(layer) for layer in lora.layers_to_transform if layer not in there]:
        choice = f"choose of {min(there)} to {max(there)}, or null" if there else "set it to null"
        raise UserError(f"lora.layers_to_transform: {', '.join(missing)}: the model has no such layer: {choice}")
    chosen = set(lora.layers_to_transform)
    for target, names in found.items():
        if target not in modules and not any(layers.get(name) in chosen for name in names):
            raise UserError(f"lora.target_modules: {target}: it is in none of lora.layers_to_transform: leave one out")


def _is_matrix(module: Any) -> bool:
    return getattr(getattr(module, "weight", None), "ndim", 0) == 2


def save(tuned: Any, folder: Path) -> None:
    """Write the adapter of a PEFT model to `folder`, whole or not at all.

    Raises UserError where a weight is not finite.

    PEFT writes target_modules from a set, in another order each run, and the folder of the base model on this machine:
    the first is sorted, the second left out. Its README and the trainer's pickled arguments are not kept.
    """
    for name, weight in tuned.named_parameters():
        if weight.requires_grad and not weight.isfinite().all():
            raise UserError(f"training diverged: {name} is not finite: lower training.learning_rate")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with naming(folder, partial):
            tuned.save_pretrained(partial, safe_serialization=True)
            config = json.loads((partial / CONFIG).read_text(encoding="utf-8"))
            config.update(target_modules=sorted(config["target_modules"]), base_model_name_or_path=None)
            records.write_json(partial / CONFIG, config)
            for path in partial.iterdir():
                if path.name not in (CONFIG, WEIGHTS):
                    path.unlink()
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def attach(loaded: Any, folder: Path, scale: float) -> Any:
    """A base model with the adapter of `folder`, times `scale`, beside its weights.

    Raises UserError where the folder holds no adapter in safetensors, one whose weights are not finite, or one of
    another model. A pickle is never read, and nothing is looked for on a hub.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.tuners.lora import LoraLayer

    names = _checked(folder)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # refused below, in one line
            loaded = PeftModel.from_pretrained(loaded, folder, is_trainable=False)
    except (RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, RuntimeError) and "size mismatch" not in str(error):
            raise
        raise UserError(f"{folder}: no adapter for this model ({words(error)}): {REMEDY}") from None
    places = get_peft_model_state_dict(loaded, save_embedding_layers=False)
    for name in sorted(names ^ places.keys()):
        if "lora_" in name:
            has, lacks = ("adapter", "model") if name in names else ("model", "adapter")
            raise UserError(f"{folder}: no adapter for this model: the {has} has {name}, the {lacks} not: {REMEDY}")
    for module in loaded.modules():
        if isinstance(module, LoraLayer):
            module.set_scale("default", scale)
    return loaded


def _checked(folder: Path) -> set[str]:
    """The names of the weights in an adapter's folder, once it is whole and they are finite."""
    from safetensors import SafetensorError, safe_open

    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            others = sorted(path.name for path in folder.glob("adapter_model.*") if path.name != WEIGHTS)
            note = f" (and {', '.join(others)} is not read: it may hold code)" if others else ""
            raise UserError(f"{folder}: there is no {name}{note}: {REMEDY}")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise UserError(f"{folder / CONFIG}: no config of a LoRA adapter: {REMEDY}")
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            names = set(file.keys())
            for name in sorted(names):
                if not file.get_tensor(name).isfinite().all():
                    raise UserError(
                        f"{folder / WEIGHTS}: {name} is not finite: its training diverged: lower training.learning_rate"
                    )
    except SafetensorError as error:
        raise UserError(f"{folder / WEIGHTS}: damaged ({words(error)}): {REMEDY}") from None
    return names
