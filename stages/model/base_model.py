"""The base model of params: its folder, its name in an adapter's config, its tokenizer."""

from pathlib import Path
from typing import Any

from stages.model import checks
from stages.model.weights import gguf_package, hub_model, random_model
from stages.params.schema import Model

# What an adapter's config calls a base model that is not on the Hub: no path of this machine, and with three parts, so
# that no library takes it for a name on the Hub. `python -m stages.model where` makes it, a link to the folder.
BASE_LINK = "./models/base"
SOURCES = {"package": gguf_package, "hub": hub_model, "random": random_model}


def folder(model: Model) -> Path:
    """The Hugging Face folder of the base model, fetched or made on the first call."""
    return SOURCES[model.source].folder(getattr(model, model.source))


def config_folder(model: Model) -> Path:
    """A folder with the base model's config: of a hub model it is fetched without the weights."""
    return hub_model.config_folder(model.hub) if model.source == "hub" else folder(model)


def base_reference(model: Model) -> tuple[str, str | None]:
    """The base model's name and revision in an adapter's config, the same on every machine."""
    return (model.hub.path, model.hub.revision) if model.source == "hub" else (BASE_LINK, None)


def tokenizer(model: Model) -> Any:
    """The base model's tokenizer, padding on the left, with the stop token where none is set."""
    from transformers import AutoTokenizer

    base = folder(model)
    with checks.readable(model, base):
        loaded = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    loaded.padding_side = "left"
    if loaded.pad_token is None:
        loaded.pad_token = loaded.eos_token
    return loaded
