"""Model folders that are made once and kept in the user's cache, outside of the repository and of DVC."""

import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from stages.files import records
from stages.files.errors import UserError, naming

VARIABLE = "AI_MEDICAL_CHATBOT_CACHE"


def cached(key: list[object], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, from the cache where one was made of the same key by the same code and libraries.

    Made beside its place and renamed into it, so a run killed in between leaves no half of a model. Raises UserError
    where the cache folder cannot be made or written; one that already holds the model need not be writable.
    """
    from filelock import FileLock
    from platformdirs import user_cache_path

    code = Path(make.__code__.co_filename).read_text(encoding="utf-8")
    key = [*key, code, *map(version, ("torch", "transformers", "tokenizers"))]
    home = Path(os.environ.get(VARIABLE) or user_cache_path("ai-medical-chatbot")) / "models"
    target = home / records.fingerprint(key)
    if os.path.isdir(target):  # unlike Path.is_dir it says no where a folder above may not be read
        return target
    _check_writable(home)
    with FileLock(home / f"{target.name}.lock"):
        if not target.is_dir():
            for left in home.glob(f"{target.name}.partial-*"):  # by a process that was killed here
                shutil.rmtree(left)
            partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.partial-", dir=home))
            try:
                with naming(home, partial):
                    make(partial)
                    partial.replace(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return target


def _check_writable(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise UserError(
            f"{home}: no cache for models can be made or written there ({error.strerror}): "
            f"set {VARIABLE} to a folder that can be written"
        ) from None
