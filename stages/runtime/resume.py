"""Checkpoints that outlive a killed training, outside of DVC's outputs."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stages.files import records
from stages.runtime import identity

HOME = identity.CACHE / "resume"
ENDED = "ended"  # beside the checkpoints of an ended training: dvc.lock as it stood then
LOCK = Path("dvc.lock")


@contextmanager
def checkpoint_folder(stage: str, values: list[Any], inputs: list[Path]) -> Iterator[Path]:
    """A folder that outlives a killed process; those of other configurations are removed.

    DVC records a stage after its end, and would run it again where it is killed before: a stage that DVC runs keeps
    its folder until dvc.lock was written (`tidy`). One process at a time has it; the next one waits.
    """
    home = HOME / stage
    folder = home / identity.key(stage, values, inputs)
    with identity.one_at_a_time(stage, HOME):
        home.mkdir(exist_ok=True)
        for other in list(home.iterdir()):
            if other != folder or _recorded(folder):
                remove(other)
        folder.mkdir(exist_ok=True)
        (folder / ENDED).unlink(missing_ok=True)
        if any(folder.iterdir()):
            print(f"{stage}: goes on from what an earlier run left in {folder}", flush=True)
        yield folder
        if "DVC_STAGE" not in os.environ:
            remove(folder)
            return
        with suppress(OSError):  # no room for the mark: the training is done, and only its record may be lost
            records.write_text(folder / ENDED, _stamp())


def tidy() -> None:
    """Remove the checkpoints of trainings that DVC has recorded; a running one keeps its own."""
    from filelock import FileLock, Timeout

    for mark in HOME.glob(f"*/*/{ENDED}"):
        folder = mark.parent
        with suppress(Timeout), FileLock(HOME / f"{folder.parent.name}.lock", timeout=0):
            if _recorded(folder):
                remove(folder)


def digest(path: Path) -> str:
    """The digest of a file, or of a folder's files by name; `intact` compares it."""
    if path.is_dir():
        return records.fingerprint({one.name: identity.digest(one) for one in path.iterdir() if one.is_file()})
    return identity.digest(path)[:16]


def intact(path: Path) -> bool:
    """Whether a file or folder has the digest that its name ends in; prints a line where not."""
    good = path.stem.endswith(f"-{digest(path)}")
    if not good:
        print(f"{path}: damaged: made again", flush=True)
    return good


def remove(path: Path) -> None:
    """Remove a folder, renamed first: a killed process leaves no half of one under its name."""
    gone = path.with_name("gone")
    shutil.rmtree(gone, ignore_errors=True)
    if path != gone:
        path.rename(gone)
        shutil.rmtree(gone)


def _recorded(folder: Path) -> bool:
    """Whether the training in this folder ended, and dvc.lock was written since."""
    mark = folder / ENDED
    return mark.exists() and mark.read_bytes() != _stamp().encode()


def _stamp() -> str:
    if not LOCK.exists():
        return "none"
    found = LOCK.stat()
    return f"{found.st_mtime_ns} {found.st_size}"
