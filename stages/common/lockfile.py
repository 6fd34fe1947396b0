"""dvc.lock, which DVC writes in place: a kill meanwhile leaves half of it (as in treeverse/dvc issue 7615).

DVC takes most halves for a whole and runs anew what is missing. So a copy is kept as every stage begins, and what is no
more than its beginning is found out.
"""

import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

LOCK = Path("dvc.lock")
COPY = Path(".cache/dvc.lock")
HALF = Path(".dvc/tmp/dvc.lock.half")
PIPELINE = Path("dvc.yaml")
SAID = f"{LOCK}: a kill had left half of it ({HALF})"


def keep() -> None:
    """Copy the lock, with its time; where that cannot be done, a kill may cost more than a stage, and nothing else."""
    with suppress(OSError):
        if LOCK.exists():
            COPY.parent.mkdir(exist_ok=True)
            shutil.copy2(LOCK, COPY)
        else:
            COPY.unlink(missing_ok=True)


def halved(path: Path, cut: Callable[[bytes], bool]) -> bool:
    """Whether a file is there and cut off, and stays so for a second: another DVC may be writing it."""
    if not path.exists():
        return False
    seen = path.read_bytes()
    if not cut(seen):
        return False
    time.sleep(1)
    return path.exists() and path.read_bytes() == seen


def cut(content: bytes) -> bool:
    """Whether a lock cannot be read, or is no more than the beginning of the copy, or of the last stage's record.

    A merge that is not resolved is not cut, and what is committed.
    """
    if b"\n<<<<<<< " in content:
        return False
    found = _recorded(content)
    if found is None:
        return True
    # DVC writes the stages in the order that they had, and adds to the end; a stage's outputs come last.
    copy = _recorded(_content(COPY)) or {}
    begins = not copy or list(found)[: len(copy)] == list(copy)[: len(found)]
    last = next(reversed(found), None)
    least = {**_declared(), **copy}.get(last, 0)
    shorter = len(found) < len(copy) or found.get(last, 0) < least
    return begins and shorter and _git("diff", "--quiet", "HEAD", "--", str(LOCK)).returncode != 0


def take() -> str:
    """Put the copy in the place of the lock, or the committed one; the half is kept. Returns what was done, in words.

    Raises OSError where there is neither, or no room.
    """
    HALF.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(LOCK, HALF)
    if _recorded(_content(COPY)) is not None:
        partial = COPY.with_name("dvc.lock.partial")
        shutil.copy2(COPY, partial)  # with its time: nothing has been recorded since
        partial.replace(LOCK.resolve())
        return f"{SAID}: it is as it was when the last stage began"
    done = _git("checkout", "-q", "HEAD", "--", str(LOCK))
    if done.returncode or _recorded(_content(LOCK)) is None:
        raise OSError(f"{LOCK}: damaged, and no commit has it whole: {done.stderr.strip() or 'remove it'}")
    return f"{SAID}: it is that of the last commit"


def _recorded(content: bytes) -> dict[str, int] | None:
    """The stages in a lock, in its order, with how many of their outputs have a hash; None where it cannot be read."""
    return _stages(content, lambda stage: sum(bool(out.get("md5")) for out in stage.get("outs") or []))


def _declared() -> dict[str, int]:
    """The stages in dvc.yaml, with how many outputs they have."""
    kinds = ("outs", "metrics", "plots")
    return _stages(_content(PIPELINE), lambda stage: sum(len(stage.get(kind) or []) for kind in kinds)) or {}


def _stages(content: bytes, outputs: Callable[[dict[str, Any]], int]) -> dict[str, int] | None:
    try:
        stages = YAML(typ="safe", pure=True).load(content)["stages"]
        return {name: outputs(stage or {}) for name, stage in stages.items()}
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _git(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", *command], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
