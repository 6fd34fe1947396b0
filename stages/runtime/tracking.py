"""Weights & Biases: online where a key is set, else offline, off with WANDB_MODE=disabled.

Training is worth more than its curve: once it has begun, a failure of the client is a line, and no more.
"""

import contextlib
import netrc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stages.files.errors import UserError, one_line
from stages.runtime import stage

MODES = {"online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


def mode() -> str:
    """The mode, set in the client's own environment variables, too.

    Raises UserError where WANDB_MODE is none of the client's modes, or online without a key.
    """
    host = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    given = os.environ.get("WANDB_MODE") or ("online" if _has_key(host) else "offline")
    if given not in MODES:
        raise UserError(f"WANDB_MODE: {given!r}: choose online, offline or disabled")
    chosen = MODES[given]
    if chosen == "online" and not _has_key(host):
        raise UserError(
            f"WANDB_MODE: {given}: there is no key for {host}: run `wandb login`, or set WANDB_API_KEY, "
            "or WANDB_MODE to offline"
        )
    os.environ["WANDB_MODE"] = chosen
    os.environ.setdefault("WANDB_PROJECT", "ai-medical-chatbot")
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_DISABLE_GIT", "true")  # the lock and the commit already say what was run
    os.environ.setdefault("WANDB_DISABLE_CODE", "true")
    # Without a network the client would wait 90 seconds to begin, and for ever to end.
    os.environ.setdefault("WANDB_INIT_TIMEOUT", "30")
    os.environ.setdefault("WANDB_FINISH_TIMEOUT", "60")
    os.environ.setdefault("WANDB_FINISH_TIMEOUT_RAISES", "true")
    return chosen


def start(mode: str) -> str:
    """Begin the run; returns its mode: offline without a connection, disabled if that fails."""
    if mode == "disabled":
        return mode
    import wandb

    stage.closing.append(_close)
    for attempt in dict.fromkeys((mode, "offline")):
        try:
            wandb.init(project=os.environ["WANDB_PROJECT"], mode=attempt)
        except Exception as error:  # a network, a key, a folder: of many kinds
            _say(error, f"tracking is not {attempt}, and training goes on")
        else:
            return attempt
    _let_go(wandb)
    return "disabled"


def callbacks(mode: str) -> list[Any]:
    """The trainer's callbacks for a run that was begun in a mode."""
    if mode == "disabled":
        return []
    from transformers.integrations import WandbCallback

    return [Guarded(WandbCallback())]


class Guarded:
    """A callback of the trainer that is not called again after a failure, which is printed."""

    def __init__(self, callback: Any) -> None:
        """Guard `callback`."""
        self.callback, self.failed = callback, False

    def __getattr__(self, event: str) -> Callable[..., Any]:
        """The callback's own method, guarded."""
        method = getattr(self.callback, event)

        def guarded(*arguments: Any, **named: Any) -> Any:
            if self.failed:
                return None
            try:
                return method(*arguments, **named)
            except Exception as error:  # the client raises what its sockets raise
                self.failed = True
                _say(error, "training goes on without it")

        return guarded


def finish(mode: str) -> None:
    """Close the run, so that its last values are written before the process ends."""
    if mode == "disabled":
        return
    import wandb

    try:
        wandb.finish()
    except Exception as error:
        _say(error, "`wandb sync wandb/latest-run` uploads what is missing")
        _let_go(wandb)


def _close(code: int) -> None:
    """Close the run with this exit code, so that its last values are written."""
    import wandb

    if wandb.run:
        wandb.finish(exit_code=code)


def _let_go(wandb: Any) -> None:
    """End a client that failed: at exit it would try once more, and end in a traceback."""
    with contextlib.suppress(Exception):
        wandb.teardown()


def _say(error: Exception, then: str) -> None:
    print(f"W&B: {one_line(error)}: {then}", flush=True)


def _has_key(host: str) -> bool:
    """Whether the client will find a key, which is not read here."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        # A path of its own, as the client gives: netrc's default refuses a file that others may read.
        file = netrc.netrc(os.environ.get("NETRC") or Path.home() / ".netrc")
        return file.authenticators(urlsplit(host).netloc) is not None
    except (OSError, ValueError, netrc.NetrcParseError):
        return False
