"""Runs of the pipeline by DVC: of the workspace, and of experiments in copies that leave the workspace alone."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stages import params
from stages.files.errors import UserError
from stages.params.schema import Params
from stages.runtime import identity

INPUT = "data/input"
CAUSES = ("stages/", INPUT, "metrics/ledger.jsonl")

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


def repro() -> None:
    """Bring the workspace up to date. Raises UserError where a stage fails."""
    _dvc("repro")


def experiment(name: str, changed: Params, change: str) -> str:
    """Run the pipeline with one param changed, in a temporary copy; returns the experiment's commit.

    `change` is `key=value`, `changed` all params with it. One that ran with this code, these params and these rows is
    not run again. Whatever stage an experiment shares with an earlier run comes from DVC's run cache. Raises UserError
    where it fails.
    """
    known = _refs(name)
    for commit in known.values():
        if _is_current(commit, changed):
            print(f"{name}: has run before", flush=True)
            return commit
    for ref in known:
        git("update-ref", "-d", ref)
    # Rows that Git does not track: a whole folder of them as one path.
    rows = git("ls-files", "-z", "--others", "--directory", "--", INPUT).split("\0")
    copied = [part for path in rows if path for part in ("-C", path.rstrip("/"))]
    print(f"{name}: {change}, in a copy", flush=True)
    _dvc("exp", "run", "--temp", "--name", name, *copied, "-S", change)
    return next(iter(_refs(name).values()))


def git(*arguments: str) -> str:
    """What a Git command prints. Raises UserError where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True)
    if done.returncode:
        raise UserError(f"git {' '.join(arguments)}: {' '.join(done.stderr.decode().split())}")
    return done.stdout.decode()


def show(commit: str, path: str) -> str:
    """The text of a file in an experiment's commit."""
    return git("show", f"{commit}:{path}")


def _refs(name: str) -> dict[str, str]:
    """The experiments of this name, whatever commit they started from: their commits by ref."""
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", f"refs/exps/*/*/{name}").splitlines()
    return dict(line.split() for line in lines)


def _is_current(commit: str, changed: Params) -> bool:
    """Whether an experiment had these params, and the code and the rows that the workspace has."""
    if _causes(show(commit, "dvc.lock")) != _causes(Path("dvc.lock").read_text(encoding="utf-8")):
        return False
    return params.parse(show(commit, "params.yaml"), "params.yaml") == changed.model_dump(mode="json")


def _causes(lock: str) -> dict[tuple[str, str], str]:
    """What the stages of a dvc.lock depended on and no stage made: by stage and path, a hash."""
    stages = params.parse(lock, "dvc.lock")["stages"].items()
    found = ((name, dep) for name, stage in stages for dep in stage["deps"] if dep["path"].startswith(CAUSES))
    return {(name, dep["path"]): dep["md5"] for name, dep in found}


def _dvc(*arguments: str) -> None:
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
