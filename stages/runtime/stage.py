"""Run one stage: check params, do the work, print its summary and its cost in one line."""

import atexit
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

from stages import params
from stages.files.errors import UserError, explained
from stages.params.schema import Params
from stages.runtime import costs, resume

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}  # as a shell shows them
PATIENCE = 60  # seconds that a client of a service has to close at an interruption
LEAST = 1_000_000_000  # bytes of address space

closing: list[Callable[[int], object]] = []  # to be called with the exit code where a signal ends the stage


def run(name: str, main: Callable[[Params], str]) -> None:
    """Run `main` on the checked params; exits 1 with a line for each problem.

    SIGTERM and Ctrl-C end the process at any time (`_interrupt`), as a shell shows it: 143 or 130. A problem is a
    UserError, a file that cannot be read or written, or too little memory; any other error is a mistake of the code
    and keeps its traceback. What the stage cost goes to metrics/costs/NAME.json (costs.py).
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
    for number in CODES:  # and not back at the end: Python's own has tracebacks for a signal in an exit function
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, partial(_interrupt, name))
    try:
        _check_memory()
        given = params.load()
        resume.tidy()
        summary = main(given)
        _tell(f"{name}: {summary} ({costs.write(name, start)})")
    except Exception as error:
        text = explained(error)
        if text is None:  # a mistake of the code, which its traceback shows
            raise
        _end_bars()
        print("\n".join(f"{name}: {line}" for line in text.splitlines()), file=sys.stderr)
        sys.exit(1)


def _interrupt(name: str, number: int, frame: FrameType | None) -> NoReturn:
    """End the process with a line, here and now.

    An exception would have to pass through libraries, and some swallow it or turn it into another one (an import that
    tries, a destructor, compiled code that clears errors): the stage would go on, and not as it does when left alone.
    Everything on the disk is safe from SIGKILL at any moment, and so from this: crash-only software (Candea and Fox,
    HotOS 2003). A second signal ends it without the line.
    """
    code = CODES[number]
    for each in CODES:
        signal.signal(each, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(code))
    signal.alarm(2)  # for a reader that has stopped reading
    with contextlib.suppress(Exception):  # a stream that nobody reads, or one that is just being written
        _end_bars()
        sys.stdout.flush()
    with contextlib.suppress(Exception):  # past Python's own stream, for the same reason
        os.write(sys.stderr.fileno(), f"{name}: interrupted: `dvc repro` goes on from here\n".encode())
    signal.alarm(PATIENCE)
    for close in closing:
        with contextlib.suppress(Exception):  # nothing more can be done for it
            close(code)
    atexit._run_exitfuncs()  # as at any other end: libraries remove their temporary folders
    os._exit(code)


def _tell(summary: str) -> None:
    """Print the last line. All is done by then: whether anybody reads it decides nothing."""
    try:
        print(summary, flush=True)
    except OSError:
        sys.stdout = _nowhere()  # what is left unwritten would fail once more at exit


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _check_memory() -> None:
    """Raise UserError where the limit on memory lets no library be loaded: some would hang."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST:
        raise UserError(
            f"out of memory: a limit of {limit / 1e6:,.0f} MB is set (ulimit -v), and libraries alone take "
            f"{LEAST / 1e6:,.0f} MB: raise it"
        )


def _end_bars() -> None:
    """End the line of every progress bar, so that what follows begins its own."""
    if tqdm := getattr(sys.modules.get("tqdm"), "tqdm", None):
        for bar in list(getattr(tqdm, "_instances", ())):
            bar.close()
