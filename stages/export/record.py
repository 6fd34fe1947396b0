"""What an export was made of, in its export.json: a stale one is detected."""

import json
from pathlib import Path
from typing import Any

from stages.export import ADAPTER, EXPORT, KEY
from stages.model import base_model
from stages.params.schema import Params
from stages.runtime import resume


def of(params: Params) -> dict[str, Any]:
    """The adapter's digest, the base model, and the params that an export depends on."""
    generation = params.generation.model_dump(include={"max_new_tokens", "seed", "temperature", "top_p"})
    return {
        "adapter": {"digest": resume.digest(ADAPTER), **params.adapter.model_dump()},
        "base": base_model.base_reference(params.model),
        "export": params.export.model_dump(include={"formats", "quantizations"}),
        "generation": generation,
        "model": params.model.model_dump(include={"dtype", "source", "load_in_4bit", "backend", params.model.source}),
        "prompt": params.prompt.model_dump(exclude={"overlong"}),
    }


def is_current(params: Params, folder: Path = EXPORT) -> bool:
    """Whether a folder's export is of this adapter and these params; not where either is missing."""
    try:
        made = json.loads((folder / KEY).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return ADAPTER.is_dir() and made == json.loads(json.dumps(of(params)))
