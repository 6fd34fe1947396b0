"""A LoRA adapter: saved as safetensors and its config alone, and attached to a model again."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

from stages.files import records
from stages.files.errors import path_in_errors
from stages.model import checks, model_errors

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def save(tuned: Any, folder: Path) -> None:
    """Write the adapter of a PEFT model to `folder`, atomically.

    PEFT writes target_modules from a set, in another order each run: they are sorted here. Its README and the trainer's
    pickled arguments are not kept. Raises UserError where a weight is not finite.
    """
    checks.trained(tuned)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with path_in_errors(folder, partial):
            # Embeddings stay frozen; to detect that itself, PEFT would look for the base model on the Hub.
            tuned.save_pretrained(partial, safe_serialization=True, save_embedding_layers=False)
            config = json.loads((partial / CONFIG).read_text(encoding="utf-8"))
            config["target_modules"] = sorted(config["target_modules"])
            records.write_json(partial / CONFIG, config)
            for path in partial.iterdir():
                if path.name not in (CONFIG, WEIGHTS):
                    path.unlink()
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def attach(network: Any, folder: Path, scale: float) -> Any:
    """A base model with the adapter of `folder`, times `scale`, beside its weights.

    Raises UserError where the folder holds no adapter in safetensors, one whose weights are not finite, or one of
    another model. A pickle is never read, and nothing is looked for on a hub.
    """
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    checks.adapter_files(folder / CONFIG, folder / WEIGHTS)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # refused below, in one line
            tuned = PeftModel.from_pretrained(network, folder, is_trainable=False)
    except (RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, RuntimeError) and "size mismatch" not in str(error):
            raise
        raise model_errors.ADAPTER_REFUSED(folder=folder, error=error) from None
    checks.adapter_fits(folder, folder / WEIGHTS, tuned)
    for module in tuned.modules():
        if isinstance(module, LoraLayer):
            module.set_scale("default", scale)
    return tuned


def merge_error(tuned: Any, dtype: Any) -> float:
    """The relative error of an adapter's update after a merge in `dtype`: ‖U - D‖ / ‖D‖.

    D = s B A is the update of a weight W, and U = round(W + D) - round(W) what a merge makes of it, rounded to `dtype`
    as both arms' weights are; Frobenius norms over all target matrices, 0 where D is 0. For inputs of no preferred
    direction it is the relative error of what the update adds to a layer's output (PEFT #1388, Unsloth #3091). The
    update's effect on SmolLM2's logits was off by less: weights in bfloat16 on disk, 0.4 % at an error of 4 %, 5 % at
    35 %, 63 % at 87 %; in float32 on disk, 0.6 % at 5 %, 3 % at 48 %, 11 % at 225 %.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    lost = whole = 0.0
    with torch.no_grad():
        for layer in (module for module in tuned.modules() if isinstance(module, LoraLayer)):
            weight, update = layer.get_base_layer().weight, layer.get_delta_weight("default")
            merged = (weight + update.to(weight.dtype)).to(dtype).float() - weight.to(dtype).float()
            lost += float((merged - update).square().sum(dtype=torch.float64))
            whole += float(update.square().sum(dtype=torch.float64))
    return (lost / whole) ** 0.5 if whole else 0.0
