"""The weights of the base model, with or without an adapter."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.data import chat_template
from stages.model import architecture, base_model, checks
from stages.model.adapter import attach
from stages.model.backends import hf_peft, unsloth_peft
from stages.params.schema import Lora, Model

BACKENDS = {"transformers": hf_peft, "unsloth": unsloth_peft}
SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


@dataclass
class LoadedModel:
    """A model that answers: its network, its tokenizer, and every token id that ends an answer."""

    network: Any
    tokenizer: Any
    stop_ids: frozenset[int]
    cache: dict[str, Any] = field(default_factory=dict)  # what an engine keeps from call to call


def for_answers(model: Model, adapter: Path | None, scale: float, merge_tolerance: float = 0.0) -> LoadedModel:
    """The model that answers: the base, with the adapter times `scale` where one is given.

    The adapter is merged where that loses at most the share `merge_tolerance` of its update, else beside the weights.
    Raises UserError where the adapter is none for this model, or its weights are not finite.
    """
    from transformers import GenerationConfig

    checks.machine(model)
    backend, base = BACKENDS[model.backend], base_model.folder(model)
    with checks.readable(model, base):
        network = backend.load_to_answer(base, model)
    # A hub model may bring settings for sampling, penalties for repetition among them, which greedy answers would keep.
    given = network.generation_config
    network.generation_config = GenerationConfig(**{name: getattr(given, name) for name in SPECIAL})
    tokens = base_model.tokenizer(model)
    stop_ids = _stop_ids(tokens, given, network.config, network.config.get_text_config())
    stop_ids |= {chat_template.end_of_turn(tokens)} - {None}  # which no config need name
    if adapter is not None:
        network = attach(network, adapter, scale)
    return LoadedModel(backend.ready_to_answer(network, model, merge_tolerance), tokens, stop_ids)


def for_training(model: Model, lora: Lora, seed: int, gradient_checkpointing: bool) -> Any:
    """The base model with a new LoRA adapter, whose first weights depend on `seed`.

    Raises UserError where `lora` names a module or a layer that the model does not have.
    """
    checks.machine(model)
    backend, base = BACKENDS[model.backend], base_model.folder(model)
    with checks.readable(model, base):
        network = backend.load_to_train(base, model)
    architecture.lora_targets(network, lora)
    tuned = backend.with_new_adapter(network, model, lora, seed, gradient_checkpointing)
    config = tuned.peft_config["default"]
    config.base_model_name_or_path, config.revision = base_model.base_reference(model)
    return tuned


def _stop_ids(*named_in: Any) -> frozenset[int]:
    """The ids under `eos_token_id` of a tokenizer and configs, which hold one, several or none."""
    ids: set[int] = set()
    for source in named_in:
        given = getattr(source, "eos_token_id", None)
        ids.update(given if isinstance(given, list | tuple) else [given])
    return frozenset(ids - {None})
