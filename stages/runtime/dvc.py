"""DVC as a child, which gets the signals, and has the workspace to put in order."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from stages.files.errors import UserError
from stages.runtime import identity

children: list[subprocess.Popen] = []
INTERRUPTED = "interrupted: the same command goes on from here"


@contextmanager
def signals_to_child() -> Iterator[None]:
    """Pass Ctrl-C and SIGTERM on to DVC as Ctrl-C: it has the workspace to put in order, and ends its stage."""
    received = []

    def forward(number: int, frame: Any) -> None:
        received.append(number)
        if not children:
            raise UserError(INTERRUPTED)
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(children[-1].pid, signal.SIGINT)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except UserError:
        if received:
            raise UserError(INTERRUPTED) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(*arguments: str) -> None:
    """Run DVC, its output seen. Raises UserError where it fails."""
    command = ["dvc", *arguments]
    # A session of its own: a terminal's Ctrl-C reaches it once, by `signals_to_child`.
    environment = {**os.environ, "STAGES_CACHE": str(identity.CACHE.absolute())}
    children.append(subprocess.Popen(command, env=environment, start_new_session=True))
    code = children[-1].wait()
    children.pop()
    if code:
        raise UserError(
            f"`{' '.join(command)}` failed, see above: correct that, and run this again: what is done stays"
        )
