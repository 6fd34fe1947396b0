"""What a result depends on, as one name: values, inputs, code, libraries and processor."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stages.files import records
from stages.runtime import processor

ROOT = Path(__file__).parents[2]
# What lets a killed run go on; stages.experiments sets the variable, so that its copies go on from one another.
CACHE = Path(os.environ.get("STAGES_CACHE", ".cache"))
LIBRARIES = (
    "torch", "transformers", "peft", "trl", "accelerate", "tokenizers", "numpy",
    "bitsandbytes", "liger-kernel", "unsloth", "unsloth_zoo",
)  # fmt: skip


def key(stage: str, values: list[Any], inputs: list[Path]) -> str:
    """The name of all that a result depends on: the code is what dvc.yaml names for the stage."""
    data = {path.as_posix(): digest(path) for one in inputs for path in _files(one)}
    code = {path.relative_to(ROOT).as_posix(): digest(path) for path in code_of(stage)}
    libraries = {}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            libraries[library] = version(library)
    plain = [value.model_dump(mode="json") if hasattr(value, "model_dump") else value for value in values]
    return records.fingerprint([plain, data, code, libraries, processor.describe()], 24)


def code_of(stage: str) -> list[Path]:
    """The files of code that dvc.yaml names as what the stage depends on."""
    from ruamel.yaml import YAML

    deps = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"][stage]["deps"]
    named = [ROOT / dep for dep in deps if dep.startswith("stages/")]
    return [path for one in named for path in _files(one) if path.suffix != ".pyc"]


def _files(path: Path) -> list[Path]:
    """A file, or all files in a folder; nothing where there is none."""
    found = path.rglob("*") if path.is_dir() else [path]
    return sorted(one for one in found if one.is_file())


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def one_at_a_time(stage: str, home: Path) -> Iterator[None]:
    """Wait until no other process works on this stage's files in `home`; print that it waits."""
    from filelock import FileLock, Timeout

    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / f"{stage}.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        print(f"{stage}: another process is at work here: waiting for its end", flush=True)
        held = lock.acquire()
    with held:
        yield
