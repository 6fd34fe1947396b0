"""A base model of the Hugging Face Hub at a pinned commit: safetensors, no code, no pickle."""

from pathlib import Path

from stages.files import timeouts
from stages.model import checks, model_errors
from stages.params.schema import HubModel

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]


def folder(hub: HubModel) -> Path:
    """The folder of the downloaded snapshot. HF_TOKEN is used where the environment has it.

    Raises UserError where it cannot be downloaded, has no safetensors, or needs code of its own.
    """
    from huggingface_hub import snapshot_download

    timeouts.set_timeouts(model_errors.HUB_NAME.format(hub=hub))
    try:
        path = Path(snapshot_download(hub.path, revision=hub.revision, allow_patterns=PATTERNS))
    except Exception as error:  # the library raises a dozen kinds, requests' and its own among them
        raise model_errors.HUB_UNAVAILABLE(hub=hub, error=error) from None
    checks.snapshot(path, hub)
    return path
