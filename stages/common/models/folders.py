"""Model folders that are made once and kept in the user's cache, outside of the repository and of DVC."""

import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from stages.common import records


def cached(key: list[object], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, from the cache where one was made of the same key by the same library versions.

    Made beside its place and renamed into it, so a run killed in between leaves no half of a model.
    """
    from filelock import FileLock
    from platformdirs import user_cache_path

    key = [*key, version("torch"), version("transformers")]
    home = Path(os.environ.get("AI_MEDICAL_CHATBOT_CACHE") or user_cache_path("ai-medical-chatbot")) / "models"
    home.mkdir(parents=True, exist_ok=True)
    target = home / records.fingerprint(key)
    with FileLock(home / f"{target.name}.lock"):
        if not target.is_dir():
            partial = Path(tempfile.mkdtemp(prefix="partial-", dir=home))
            try:
                make(partial)
                partial.replace(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return target
