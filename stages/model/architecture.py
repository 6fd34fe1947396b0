"""What a base model's config alone tells: asked before its weights are downloaded.

No stage depends on this file: an output that exists passed it.
"""

import re
from typing import Any

from stages.files.errors import UserError
from stages.model import base_model, checks, model_errors
from stages.params.schema import Lora, Params


def check(params: Params) -> None:
    """Raise UserError where this machine, an engine or the LoRA config does not fit the base model."""
    checks.pipeline(params)
    network = _empty(params)
    full_attention(params.generation.engine, network.config)
    lora_targets(network, params.lora)


def full_attention(engine: str, config: Any) -> None:
    """Raise UserError where an engine needs full attention and the model has another."""
    from stages.model.ops import varlen_attention

    if engine == "continuous" and not varlen_attention.plain(config):
        raise model_errors.NEEDS_FULL_ATTENTION(model_type=config.model_type)


def lora_targets(network: Any, lora: Lora) -> None:
    """Raise UserError for a target module or layer that the model lacks: PEFT ignores it."""
    modules = dict(network.named_modules())
    layers = {name: int(match[1]) for name in modules if (match := re.match(r".*?\.[^.]*\.(\d+)\.", name))}
    found = {
        target: [name for name in modules if name == target or name.endswith(f".{target}")]
        for target in lora.target_modules
    }
    embeddings = network.get_input_embeddings(), network.get_output_embeddings()
    if missing := [target for target, names in found.items() if not names]:
        matrices = [name for name, module in modules.items() if _is_matrix(module) and module not in embeddings]
        choice = ", ".join(sorted({name.rpartition(".")[2] for name in matrices}))
        raise UserError(f"lora.target_modules: {', '.join(missing)}: the model has no such module: choose of {choice}")
    for target, names in found.items():
        if any(modules[name] is embedding for name in names for embedding in embeddings):
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


def _empty(params: Params) -> Any:
    """The base model by its config, its weights without numbers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = base_model.config_folder(params.model)
    with checks.readable(params.model, folder), torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, trust_remote_code=False))
