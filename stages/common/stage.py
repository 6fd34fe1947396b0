"""Run one stage: check params, do the work, say in one line what came of it, and what it cost."""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from stages.common import costs, params
from stages.common.errors import UserError, explained
from stages.common.params.schema import Params


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
    start = time.perf_counter()
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        summary = main(params.load())
        cost = costs.write(name, start)
    except UserError as error:
        _fail(name, str(error))
    except KeyboardInterrupt as error:
        _end_bars()
        print(f"{name}: interrupted: `dvc repro` goes on from here", file=sys.stderr)
        sys.exit(143 if isinstance(error, Terminated) else 130)
    except Exception as error:
        line = explained(error)
        if line is None:  # a mistake of the code, which its traceback shows
            raise
        _fail(name, line)
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"{name}: {summary} ({cost})", flush=True)


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _end_bars() -> None:
    """End the line of every progress bar that an error cut short, so that what follows begins its own."""
    if tqdm := getattr(sys.modules.get("tqdm"), "tqdm", None):
        for bar in list(getattr(tqdm, "_instances", ())):
            bar.close()


def _fail(name: str, text: str) -> NoReturn:
    _end_bars()
    print("\n".join(f"{name}: {one}" for one in text.splitlines()), file=sys.stderr)
    sys.exit(1)
