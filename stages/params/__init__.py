"""Read params.yaml and check it as a whole, before any heavy import."""

import difflib
from datetime import date
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from stages.files.errors import UserError
from stages.params.conflicts import conflicts
from stages.params.field_types import shown
from stages.params.schema import Params
from stages.params.yaml_text import parse, read

__all__ = ["PATH", "check", "load", "parse", "read"]
PATH = Path("params.yaml")
MOST = 100  # lines of problems: more of them are one mistake


def load(path: Path = PATH) -> Params:
    """Read and check the params file. Raises UserError, a line a problem: key, value, remedy."""
    return check(read(path), str(path))


def check(values: Any, name: str = str(PATH)) -> Params:
    """Check parsed values against the schema and each other; `name` is their file in messages."""
    try:
        params = Params.model_validate(values)
        problems = list(conflicts(params))
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [_line(problem) for problem in found[:MOST]]
        problems += [f"and {len(found) - MOST:,} more: correct these first"] if len(found) > MOST else []
    if problems:
        raise UserError("\n".join(f"{name}: {problem}" for problem in problems))
    return params


def _line(problem: dict[str, Any]) -> str:
    """One problem that pydantic found, as `key: value: remedy`."""
    keys, known = _keys(problem["loc"])
    given, message = shown(problem["input"]), problem["msg"].removeprefix("Input ").replace("should", "must")
    match problem["type"]:
        case "missing":
            given, message = "missing", "add it (presets/cpu.yaml and the committed params.yaml show a value)"
        case "union_tag_not_found":
            keys, given, message = [*keys, "source"], "missing", "add it: it says where the rows come from"
        case "union_tag_invalid":
            keys, given = [*keys, "source"], shown(problem["ctx"]["tag"])
            message = f"must be one of {problem['ctx']['expected_tags']}"
        case "extra_forbidden" | "invalid_key":
            keys = [*keys[:-1], str(keys[-1])]  # a key may be a number, but is no index
            close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
            given, message = "unknown key", f"did you mean {close[0]}?" if close else "remove it"
        case "model_type" | "model_attributes_type":
            message = "must be a mapping, lines of `key: value`"
        case "string_type" if isinstance(problem["input"], date):  # YAML makes one of 2024-07-26
            given, message = str(problem["input"]), "must be a text: write it in quotes"
        case "value_error":
            given = None if isinstance(problem["input"], dict) else given
            message = str(problem["ctx"]["error"])
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in keys).removeprefix(".")
    return ": ".join(part for part in (key, given, message) if part)


def _keys(location: tuple[str | int, ...]) -> tuple[list[str | int], list[str]]:
    """The keys that lead to a problem, and those that the schema knows beside the last one."""
    kinds, keys, known = [Params], [], []
    for part in location:
        if isinstance(part, int):
            keys.append(part)
        elif len(kinds) > 1:  # pydantic names the kind of a section that was chosen: no key of the file
            kinds = [kind for kind in kinds if part in get_args(kind.model_fields["source"].annotation)]
        else:
            keys.append(part if part.isprintable() else repr(part))
            known = list(kinds[0].model_fields) if kinds else []
            kinds = _kinds(kinds[0].model_fields[part].annotation) if part in known else []
    return keys, known


def _kinds(annotation: Any) -> list[type[BaseModel]]:
    """The sections that an annotation allows, inside lists and unions too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _kinds(part)]
