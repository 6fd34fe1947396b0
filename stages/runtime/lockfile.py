"""dvc.lock, which DVC writes in place: a kill meanwhile leaves half of it (as in treeverse/dvc issue 7615).

DVC takes most halves for a whole and runs anew what is missing. So a copy is kept as every stage begins, and what is no
more than its beginning is found out.
"""

import math
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

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
    """Whether a lock cannot be read, or is what a kill leaves of one that DVC was writing over the copy.

    DVC changes or adds a stage at a time, and writes all of them in the order that they had. What a merge has left and
    what is committed is not cut, nor what differs from the copy in more than one stage before the last, nor what ends
    well between two stages (five places of thousands): a stage may have been removed.
    """
    if merging(content):
        return False
    found, copy, pipeline = _stages(content), _stages(_content(COPY)), _stages(_content(PIPELINE)) or {}
    if found is None or copy is None:
        return found is None
    found, copy = ({name: one for name, one in stages.items() if name in pipeline} for stages in (found, copy))
    names, last = list(found), next(reversed(found), None)
    begins = names[: len(copy)] == list(copy)[: len(names)]
    changed = sum(found[name] != copy.get(name) for name in names[:-1])
    least = min((_hashed(copy[last]) if last in copy else math.inf), _declared(pipeline[last])) if last else 0
    ends = len(found) >= len(copy) or content.endswith(b"\n")
    lacks = not ends or _hashed(found.get(last, {})) < least
    return begins and changed <= 1 and lacks and _git("show", f"HEAD:./{LOCK}").stdout != content


def merging(content: bytes) -> bool:
    """Whether Git has left a merge to be resolved here."""
    return b"\n<<<<<<< " in content


def take() -> str:
    """Put the copy in the place of the lock, or the committed one, or none; the half is kept.

    Returns what was done, in words. Raises OSError where it cannot be written.
    """
    HALF.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(LOCK, HALF)
    if _stages(_content(COPY)) is not None:
        partial = COPY.with_name("dvc.lock.partial")
        shutil.copy2(COPY, partial)  # with its time: nothing has been recorded since
        partial.replace(LOCK.resolve())
        return f"{SAID}: it is as it was when the last stage began"
    committed = _git("show", f"HEAD:./{LOCK}").stdout
    if _stages(committed) is not None and _git("checkout", "-q", "HEAD", "--", str(LOCK)).returncode == 0:
        return f"{SAID}: it is that of the last commit"
    LOCK.unlink()
    return f"{SAID}: it is removed, and no commit has one"


def _hashed(stage: dict[str, Any]) -> int:
    """How many outputs of a stage in the lock are whole: a folder's record ends in the number of its files."""
    outs = [out for out in stage.get("outs") or [] if isinstance(out, dict)]
    ends = ("nfiles" if str(out.get("md5")).endswith(".dir") else "size" for out in outs)
    return sum(out.get(end) is not None for out, end in zip(outs, ends, strict=True))


def _declared(stage: dict[str, Any]) -> int:
    """How many outputs a stage in dvc.yaml has."""
    return sum(len(outs) for kind in ("outs", "metrics", "plots") if isinstance(outs := stage.get(kind), list))


def _stages(content: bytes) -> dict[str, dict[str, Any]] | None:
    """The stages of a dvc.lock or dvc.yaml, in its order; None where it cannot be read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        stages = YAML(typ="safe", pure=True).load(content)["stages"]
        return {name: dict(stage or {}) for name, stage in stages.items()}
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _git(*command: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *command], capture_output=True, check=False)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, b"", b"")
