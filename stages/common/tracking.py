"""Weights & Biases: online where a key is set, offline otherwise, off with WANDB_MODE=disabled; asks for no account."""

import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit


def mode() -> str:
    """Decide the mode, and tell the client by its own environment variables; returns it.

    The key is only looked for, never read: the client takes it from the environment or ~/.netrc itself.
    """
    chosen = os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")
    os.environ["WANDB_MODE"] = chosen
    os.environ.setdefault("WANDB_PROJECT", "ai-medical-chatbot")
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_DISABLE_GIT", "true")  # the lock and the commit already say what was run
    os.environ.setdefault("WANDB_DISABLE_CODE", "true")
    return chosen


def report_to(mode: str) -> list[str]:
    """The value of SFTConfig's `report_to` for a mode."""
    return [] if mode == "disabled" else ["wandb"]


def finish(mode: str) -> None:
    """Close the run, so that its last values are written before the process ends."""
    if mode != "disabled":
        import wandb

        wandb.finish()


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").netloc
    try:
        # A path of its own, as the client gives: netrc's default refuses a file that others may read.
        file = netrc.netrc(os.environ.get("NETRC") or Path.home() / ".netrc")
        return file.authenticators(host) is not None
    except (OSError, ValueError, netrc.NetrcParseError):
        return False
