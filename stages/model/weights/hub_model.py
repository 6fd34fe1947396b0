"""A base model of the Hugging Face Hub at a pinned commit: safetensors, no code, no pickle."""

from pathlib import Path

from stages.files import hub as client
from stages.model import checks, model_errors
from stages.params.schema import HubModel

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]


def folder(hub: HubModel) -> Path:
    """The folder of the snapshot, downloaded or in the cache. HF_TOKEN is used where the environment has it.

    Raises UserError where it cannot be had, has no safetensors, or needs code of its own.
    """
    path = _snapshot(hub, PATTERNS)
    checks.snapshot(path, hub)
    return path


def config_folder(hub: HubModel) -> Path:
    """The same with the config at least; UserError where it cannot be had or needs code of its own."""
    path = _snapshot(hub, ["config.json"])
    checks.own_code(path, hub)
    return path


def _snapshot(hub: HubModel, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    client.set_timeouts(model_errors.HUB_NAME.format(hub=hub))
    try:
        return Path(snapshot_download(hub.path, revision=hub.revision, allow_patterns=patterns))
    except Exception as error:  # the library raises a dozen kinds, requests' and its own among them
        if (found := client.local_snapshot(hub.path, hub.revision, "model")) is None:
            raise model_errors.HUB_UNAVAILABLE(hub=hub, error=error) from None
        return found
