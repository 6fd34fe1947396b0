"""What a killed run left for the next one to go on from: kept outside of DVC's outputs, and only while it is of use."""

import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stages.files import records
from stages.files.errors import UserError
from stages.runtime import lockfile

HOME = Path(".cache/resume")
ENDED = "ended"  # beside what an ended stage kept: dvc.lock as it stood then
CODE = Path(__file__).parents[1]
LIBRARIES = (
    "torch", "transformers", "peft", "trl", "accelerate", "tokenizers", "numpy",
    "bitsandbytes", "liger-kernel", "unsloth", "unsloth_zoo",
)  # fmt: skip


@contextmanager
def place(name: str, used: list[Any], inputs: list[Path]) -> Iterator[Path]:
    """A folder that outlives the process until the block ends well; then it is removed.

    It is the one of an earlier run that was killed, where that had the same `used` values, bytes of the `inputs`,
    code, libraries and processor; what another configuration left under this name is removed. One process at a time
    has it; the next one waits.

    DVC records a stage after its end, and would run it again where it is killed before: what DVC runs keeps its folder
    until the record is there (`settle`).
    """
    from filelock import FileLock, Timeout

    home = HOME / name
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(HOME / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{name}: another process is at work here: waiting for its end", flush=True)
        lock.acquire()
    try:
        folder = home / _key(used, inputs)
        for other in list(home.iterdir()):
            if other != folder or _recorded(folder):
                remove(other)
        folder.mkdir(exist_ok=True)
        (folder / ENDED).unlink(missing_ok=True)
        if any(folder.iterdir()):
            print(f"{name}: goes on from what an earlier run left in {folder}", flush=True)
        yield folder
        _end(folder)
    finally:
        lock.release()


def settle() -> None:
    """As a stage begins: remove what the ones before kept, where DVC has recorded them, and keep a copy of its record.

    Raises UserError where a kill has left half of that: DVC has read it, and would run the rest anew.
    """
    if _by_dvc():
        if lockfile.halved(lockfile.LOCK, lockfile.cut):
            raise UserError(f"{lockfile.take()}: run `dvc repro` again")
        tidy()
        lockfile.keep()


def tidy() -> None:
    """Remove what ended stages kept, where DVC has recorded them since; what one at work has is left to it."""
    from filelock import FileLock, Timeout

    for left in [*HOME.glob(f"*/*/{ENDED}"), *HOME.glob("*/gone")]:
        folder = left.parent if left.name == ENDED else left
        with suppress(Timeout), FileLock(HOME / f"{folder.parent.name}.lock", timeout=0):
            if folder.name == "gone" or _recorded(folder):
                remove(folder)


def _by_dvc() -> bool:
    return "DVC_STAGE" in os.environ


def _recorded(folder: Path) -> bool:
    """Whether the stage that kept this folder had ended, and dvc.lock was written since, to the same bytes or not."""
    mark = folder / ENDED
    return mark.exists() and mark.read_bytes() != _stamp().encode()


def _stamp() -> str:
    if not lockfile.LOCK.exists():
        return "none"
    found = lockfile.LOCK.stat()
    return f"{found.st_mtime_ns} {found.st_size}"


def _end(folder: Path) -> None:
    """Have a folder wait for DVC's record, or remove it."""
    if _by_dvc():
        with suppress(OSError):  # no room: all is done but for the record
            records.write_text(folder / ENDED, _stamp())
            return
    remove(folder)


def kept(
    folder: Path, name: str, progress: Any, go_on: Callable[[int], Iterator[list[records.Row]]]
) -> Iterator[list[records.Row]]:
    """Yield the parts of a result: those in `folder`, then those that `go_on` makes when told how many to skip.

    Each new part is in `folder` before it is yielded, with its digest in its name; what has another is made again.
    `progress` is a tqdm bar, which `go_on` moves for its own rows.
    """
    done = 0
    while (path := next(folder.glob(f"{name}-{done:06}-*.jsonl"), None)) and sound(path):
        rows = list(records.read(path))
        progress.update(len(rows))
        yield rows
        done += 1
    for number, rows in enumerate(go_on(done), done):
        text = "".join(map(records.line, rows))
        records.write_text(folder / f"{name}-{number:06}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl", text)
        yield rows


def digest(path: Path) -> str:
    """The digest of a file, or of all files of a folder by their names, for a name that `sound` compares."""
    if path.is_dir():
        return records.fingerprint({one.name: _digest(one) for one in path.iterdir() if one.is_file()})
    return _digest(path)[:16]


def sound(path: Path) -> bool:
    """Whether a file or folder has the digest that its name ends in; where it has not, a line says so."""
    good = path.stem.endswith(f"-{digest(path)}")
    if not good:
        print(f"{path}: damaged: made again", flush=True)
    return good


def remove(path: Path) -> None:
    """Remove a folder, renamed first: one that is half gone, as the process was killed, is never taken for whole."""
    gone = path.with_name("gone")
    if gone.exists():
        shutil.rmtree(gone)
    if path != gone:
        path.rename(gone)
        shutil.rmtree(gone)


def _key(used: list[Any], inputs: list[Path]) -> str:
    """The name of all that a result depends on."""
    import torch

    cards = [torch.cuda.get_device_name(card) for card in range(torch.cuda.device_count())]
    processor = cards or torch.backends.cpu.get_cpu_capability()
    code = {path.relative_to(CODE).as_posix(): _digest(path) for path in sorted(CODE.rglob("*.py"))}
    data = {}
    for path in inputs:
        files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
        data |= {one.as_posix(): _digest(one) for one in files if one.exists()}
    libraries = {library: _version(library) for library in LIBRARIES}
    values = [value.model_dump(mode="json") if hasattr(value, "model_dump") else value for value in used]
    return records.fingerprint([values, data, code, libraries, platform.machine(), processor], 24)


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
