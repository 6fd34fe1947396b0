"""Save a LoRA adapter as safetensors and its config alone, the same bytes for the same weights."""

import json
import shutil
from pathlib import Path
from typing import Any

from stages.common import records

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def save(tuned: Any, folder: Path) -> None:
    """Write the adapter of a PEFT model to `folder`, whole or not at all.

    PEFT writes target_modules from a set, in another order each run, and the folder of the base model on this machine:
    the first is sorted, the second left out. Its README and the trainer's pickled arguments are not kept.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    tuned.save_pretrained(partial, safe_serialization=True)
    config = json.loads((partial / CONFIG).read_text(encoding="utf-8"))
    config.update(target_modules=sorted(config["target_modules"]), base_model_name_or_path=None)
    records.write_json(partial / CONFIG, config)
    for path in partial.iterdir():
        if path.name not in (CONFIG, WEIGHTS):
            path.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
