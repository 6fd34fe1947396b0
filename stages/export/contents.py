"""What an export must hold beside its answers: the dtype of the weights, the special tokens, a Modelfile."""

import json
from pathlib import Path
from typing import Any

from stages.export import export_errors
from stages.model import base_model
from stages.params.schema import Params


def problems(path: Path, params: Params) -> list[str]:
    """What is wrong with a Hugging Face folder, or with what stands beside a GGUF file; a line each."""
    return _beside(path, params) if path.suffix == ".gguf" else _of_folder(path, params)


def _beside(path: Path, params: Params) -> list[str]:
    stop = json.dumps(base_model.tokenizer(params.model).eos_token, ensure_ascii=False)
    wanted = (f"FROM ./{path.name}", f"PARAMETER stop {stop}")
    files = (file.read_text(encoding="utf-8").splitlines() for file in path.parent.glob("Modelfile*"))
    own = next((lines for lines in files if wanted[0] in lines), [])
    return [export_errors.NO_MODELFILE.format(line=line) for line in wanted if line not in own]


def _of_folder(path: Path, params: Params) -> list[str]:
    from safetensors import safe_open
    from transformers import AutoConfig, AutoTokenizer

    found, dtypes = [], {str(AutoConfig.from_pretrained(path).dtype).removeprefix("torch.")}
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    for file in path.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            kinds = {str(weights.get_slice(name).get_dtype()) for name in weights.keys()}  # noqa: SIM118
        dtypes |= {names.get(kind, kind) for kind in kinds}
    if others := dtypes - {params.model.dtype}:
        found.append(export_errors.DTYPE.format(found=", ".join(sorted(others)), wanted=params.model.dtype))
    own, other = _special(base_model.tokenizer(params.model)), _special(AutoTokenizer.from_pretrained(path))
    if not (path / "generation_config.json").exists():
        found.append(export_errors.NO_SETTINGS)
    if own != other:
        found.append(export_errors.SPECIAL_TOKENS.format(found=sorted(other - own), wanted=sorted(own - other)))
    return found


def _special(tokenizer: Any) -> set[tuple[str, str]]:
    """The added tokens, each with its id and whether it is special, and the ends of texts."""
    added = {
        (one.content, f"{index}{' special' * one.special}") for index, one in tokenizer.added_tokens_decoder.items()
    }
    return added | {(kind, str(getattr(tokenizer, f"{kind}_token"))) for kind in ("bos", "eos")}
