"""The README.md of an export: how each runtime is started with it."""

import shlex
from pathlib import Path
from typing import Any

from stages.export import ADAPTER, GGUF, MERGED, NAME, serve
from stages.export.merged import Merge
from stages.model import base_model
from stages.params.schema import Params
from stages.runtime import resume


def text(params: Params, folder: Path, done: Merge) -> str:
    """The text for what lies in `folder`, whose weights were merged in one way or the other."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return (
        environment.get_template("readme.md.j2").render(
            _values(params, folder), lost=done.lost, beside=not done.as_answered
        )
        + "\n"
    )


def _values(params: Params, folder: Path) -> dict[str, Any]:
    from transformers import AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(folder / MERGED)
    stops = GenerationConfig.from_pretrained(folder / MERGED).eos_token_id
    base, revision = base_model.base_reference(params.model)
    if params.model.source == "package":
        base = params.model.package.gguf_file
    return {
        "adapter": resume.digest(ADAPTER),
        "base": base,
        "name": NAME,
        "revision": revision,
        "dtype": params.model.dtype,
        "four_bit": params.model.load_in_4bit,
        "formats": params.export.formats,
        "files": {path.name: path.stat().st_size for path in sorted((folder / GGUF).glob("*.gguf"))},
        "modelfiles": [path.name for path in sorted((folder / GGUF).glob("Modelfile-*"))],
        "vllm_options": shlex.join(serve.vllm_options(params, folder / MERGED)),
        "stops": [f"`{one}`" for one in tokenizer.convert_ids_to_tokens(stops)],
        **params.generation.model_dump(include={"max_new_tokens", "temperature", "top_p"}),
    }
