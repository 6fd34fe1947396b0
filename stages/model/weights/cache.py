"""Model folders, made once and kept in the user's cache, outside of the repository and DVC."""

import os
import shutil
import tempfile
from collections.abc import Callable
from glob import escape
from importlib.metadata import version
from pathlib import Path

from stages.files import records
from stages.files.errors import path_in_errors
from stages.model import checks

VARIABLE = "AI_MEDICAL_CHATBOT_CACHE"


def cached(key: list[object], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, from the cache for the same key, code and libraries.

    The first part of the key labels the folder for people. It is made under another name and renamed (atomic). Raises
    UserError where the cache folder cannot be written; one that already holds the model need not be writable.
    """
    from filelock import FileLock
    from platformdirs import user_cache_path

    code = Path(make.__code__.co_filename).read_text(encoding="utf-8")
    versions = map(version, ("torch", "transformers", "tokenizers"))
    cache = Path(os.environ.get(VARIABLE) or user_cache_path("ai-medical-chatbot")) / "models"
    target = cache / f"{key[0]}-{records.fingerprint([*key, code, *versions])}"
    if os.path.isdir(target):  # unlike Path.is_dir it says no where a folder above may not be read
        return target
    checks.cache_writable(cache, VARIABLE)
    with FileLock(cache / f"{target.name}.lock"):
        if not target.is_dir():
            for left in cache.glob(f"{escape(target.name)}.partial-*"):  # by a process that was killed here
                shutil.rmtree(left)
            partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.partial-", dir=cache))
            try:
                with path_in_errors(cache, partial):
                    make(partial)
                    partial.replace(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return target
