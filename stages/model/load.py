"""The base model that params name: its folder, its tokenizer, and its weights with or without an adapter."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.model import checks
from stages.model.adapter import attach
from stages.model.backends import hf_peft, unsloth_peft
from stages.model.weights import gguf_package, hub_model, random_model
from stages.params.schema import Lora, Model

SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")
# What an adapter's config calls a base model that is not on the Hub: no path of this machine, and with three parts, so
# that no library takes it for a name on the Hub. `python -m stages.model where` makes it, a link to the folder.
BASE_LINK = "./models/base"


@dataclass
class LoadedModel:
    """A model ready to answer: its network, its tokenizer, and every token id that ends an answer."""

    network: Any
    tokenizer: Any
    stop_ids: frozenset[int]
    cache: dict[str, Any] = field(default_factory=dict)  # what an engine keeps from call to call


def folder(model: Model) -> Path:
    """The Hugging Face folder of the base model, fetched or made on the first call."""
    match model.source:
        case "package":
            return gguf_package.folder(model.package)
        case "hub":
            return hub_model.folder(model.hub)
        case "random":
            return random_model.folder(model.random)


def base_reference(model: Model) -> tuple[str, str | None]:
    """The base model as the config of an adapter names it, the same on every machine: its name and its revision."""
    return (model.hub.path, model.hub.revision) if model.source == "hub" else (BASE_LINK, None)


def tokenizer(model: Model) -> Any:
    """The tokenizer of the base model, padding on the left; its pad token is its stop token where it has none."""
    return _tokenizer(model, folder(model))


def for_answers(model: Model, adapter: Path | None, scale: float) -> LoadedModel:
    """The model that answers: the base, with the adapter times `scale` where one is given.

    Raises UserError where the adapter is none for this model, or its weights are not finite.
    """
    from transformers import GenerationConfig

    checks.machine(model)
    backend, base = _backend(model), folder(model)
    with checks.readable(model, base):
        network = backend.load_to_answer(base, model)
    # A hub model may bring settings for sampling, penalties for repetition among them, which greedy answers would keep.
    given = network.generation_config
    network.generation_config = GenerationConfig(**{name: getattr(given, name) for name in SPECIAL})
    tokens = _tokenizer(model, base)
    stop_ids = _stop_ids(tokens, given, network.config, network.config.get_text_config())
    if adapter is not None:
        network = attach(network, adapter, scale)
    return LoadedModel(backend.ready_to_answer(network, model), tokens, stop_ids)


def for_training(model: Model, lora: Lora, seed: int, gradient_checkpointing: bool) -> Any:
    """The base model with a new LoRA adapter, whose first weights depend on `seed`.

    Raises UserError where `lora` names a module or a layer that the model does not have.
    """
    checks.machine(model)
    backend, base = _backend(model), folder(model)
    with checks.readable(model, base):
        network = backend.load_to_train(base, model)
    checks.lora_targets(network, lora)
    tuned = backend.with_new_adapter(network, model, lora, seed, gradient_checkpointing)
    config = tuned.peft_config["default"]
    config.base_model_name_or_path, config.revision = base_reference(model)
    return tuned


def _tokenizer(model: Model, base: Path) -> Any:
    from transformers import AutoTokenizer

    with checks.readable(model, base):
        loaded = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    loaded.padding_side = "left"
    if loaded.pad_token is None:
        loaded.pad_token = loaded.eos_token
    return loaded


def _stop_ids(*named_in: Any) -> frozenset[int]:
    """The ids under `eos_token_id` of a tokenizer and configs: each holds one id, several, or none."""
    ids: set[int] = set()
    for source in named_in:
        given = getattr(source, "eos_token_id", None)
        ids.update(given if isinstance(given, list | tuple) else [given])
    return frozenset(ids - {None})


def _backend(model: Model) -> Any:
    match model.backend:
        case "transformers":
            return hf_peft
        case "unsloth":
            return unsloth_peft
