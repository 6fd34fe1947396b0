"""Run one stage: check params, do the work, say in one line what came of it, and what it cost."""

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import NoReturn, TextIO

from stages.common import costs, params, resume
from stages.common.errors import UserError, explained
from stages.common.params.schema import Params

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}  # as a shell shows them
INTERRUPTED = "interrupted: `dvc repro` goes on from here"
LEAST = 1_000_000_000  # bytes of address space


class Terminated(KeyboardInterrupt):
    """SIGTERM, which libraries are to take as they take Ctrl-C."""


def run(name: str, main: Callable[[Params], str]) -> None:
    """Run `main` on the checked params and exit: 0 with a summary line, or 1 with a line for each problem.

    Ended by SIGTERM or Ctrl-C, it says so in a line and exits as a shell would show it, 143 or 130. A problem is a
    UserError, a file that cannot be read or written, or too little memory; any other error is a mistake of the code
    and keeps its traceback.

    What the stage cost goes to metrics/costs/NAME.json (costs.py).
    """
    # Nothing here needs a hub's telemetry. Tokenizers take all cores for a batch of texts, which changes no token and
    # is over before torch computes; that it is asked for here spares their warning at every fork that follows.
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1", TOKENIZERS_PARALLELISM="true")
    # Threads that wait by spinning make a busy machine several times slower (measured: 14 or 57 tokens a second).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Nobody may be there to read, and a terminal may know no arrow: neither stops a run.
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    start = time.perf_counter()
    heard = [number for number in CODES if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, partial(_interrupt, name)) for number in heard}
    try:
        _check_memory()
        given = params.load()
        resume.settle()
        summary = main(given)
        cost = costs.write(name, start)
        _tell(f"{name}: {summary} ({cost})")
    except UserError as error:
        _fail(name, str(error))
    except KeyboardInterrupt as error:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # one is enough
        _end_bars()
        print(f"{name}: {INTERRUPTED}", file=sys.stderr)
        sys.exit(CODES[signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT])
    except Exception as error:
        line = explained(error)
        if line is None:  # a mistake of the code, which its traceback shows
            raise
        _fail(name, line)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(name: str, number: int, frame: FrameType | None) -> NoReturn:
    """End the stage by an exception, or at once where a library is being imported, which may swallow it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with contextlib.suppress(OSError):
                os.write(2, f"{name}: {INTERRUPTED}\n".encode())
            os._exit(CODES[number])
        frame = frame.f_back
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _tell(summary: str) -> None:
    """Print the last line. All is done by then: whether anybody reads it decides nothing."""
    try:
        print(summary, flush=True)
    except OSError:
        sys.stdout = _nowhere()  # what is left unwritten would fail once more at exit


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _check_memory() -> None:
    """Raise UserError where the limit of the process's memory lets no library be loaded: some would hang."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST:
        raise UserError(
            f"out of memory: a limit of {limit / 1e6:,.0f} MB is set (ulimit -v), and libraries alone take "
            f"{LEAST / 1e6:,.0f} MB: raise it"
        )


def _end_bars() -> None:
    """End the line of every progress bar that an error cut short, so that what follows begins its own."""
    if tqdm := getattr(sys.modules.get("tqdm"), "tqdm", None):
        for bar in list(getattr(tqdm, "_instances", ())):
            bar.close()


def _fail(name: str, text: str) -> NoReturn:
    _end_bars()
    print("\n".join(f"{name}: {one}" for one in text.splitlines()), file=sys.stderr)
    sys.exit(1)
