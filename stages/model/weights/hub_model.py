"""A base model of the Hugging Face Hub at a pinned commit: safetensors and JSON alone, never code or pickles."""

import json
from pathlib import Path

from stages.files import timeouts
from stages.files.errors import UserError, words
from stages.params.schema import HubModel

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]


def folder(hub: HubModel) -> Path:
    """The folder of the downloaded snapshot. HF_TOKEN is used where the environment has it.

    Raises UserError where it cannot be had, has no safetensors, or is of no use without code of its own.
    """
    from huggingface_hub import snapshot_download

    where = f"model {hub.path} at {hub.revision[:12]}"
    timeouts.give_up_in_time(where)
    try:
        path = Path(snapshot_download(hub.path, revision=hub.revision, allow_patterns=PATTERNS))
    except Exception as error:  # the library raises a dozen kinds, requests' and its own among them
        raise UserError(f"{where}: {words(error, 300)}: check the network and HF_TOKEN") from None
    if not list(path.glob("*.safetensors")):
        raise UserError(f"{where}: it has no safetensors: choose one that has")
    _refuse_code(path, where)
    return path


def _refuse_code(path: Path, where: str) -> None:
    """Raise UserError for a model that transformers has no class for, and that brings its own (auto_map)."""
    from transformers import CONFIG_MAPPING

    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise UserError(f"{where}: its config.json is missing, or no JSON object: choose another")
    if "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        raise UserError(f"{where}: it wants code of its own to be run (auto_map), which is never done: choose another")
