"""A base model of the Hugging Face Hub at a pinned commit: safetensors and JSON alone, never code or pickles."""

from pathlib import Path

from stages.common.errors import UserError
from stages.common.params.schema import HubModel

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]


def folder(hub: HubModel) -> Path:
    """The folder of the downloaded snapshot. HF_TOKEN is used where the environment has it.

    Raises UserError where it cannot be had, or has no safetensors.
    """
    from huggingface_hub import snapshot_download

    try:
        path = Path(snapshot_download(hub.path, revision=hub.revision, allow_patterns=PATTERNS))
    except Exception as error:  # the library raises a dozen kinds, requests' and its own among them
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"model {hub.path} at {hub.revision[:12]}: {reason}: check the network and HF_TOKEN") from None
    if not list(path.glob("*.safetensors")):
        raise UserError(f"model {hub.path} at {hub.revision[:12]}: it has no safetensors: choose one that has")
    return path
