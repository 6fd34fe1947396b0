"""Read params.yaml and check it as a whole, before any heavy import. YAML 1.2, as DVC reads it (5e-05 is a number)."""

import difflib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from stages.common.errors import UserError
from stages.common.params.schema import Params

PATH = Path("params.yaml")


def load(path: Path = PATH) -> Params:
    """Read and check the params file.

    Raises UserError with one line for each problem: its key, the value given and the remedy.
    """
    return check(read(path), str(path))


def read(path: Path) -> Any:
    """Parse a YAML file. Raises UserError where it cannot be read or parsed, or a key is given twice."""
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found: run from the root of the repository") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {error.problem}: correct that line") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def check(values: Any, name: str = str(PATH)) -> Params:
    """Check parsed values against the schema; `name` says in messages where they are from."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [f"{name}: {_line(problem)}" for problem in error.errors(include_url=False)]
        raise UserError("\n".join(lines)) from None


def _line(problem: dict[str, Any]) -> str:
    """One problem that pydantic found, as `key: value: remedy`."""
    location = [part for part in problem["loc"] if part not in ("hub", "files") or problem["loc"][0] == "dataset"]
    if problem["loc"][:1] == ("model",):
        location = list(problem["loc"])
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "the file"
    match problem["type"]:
        case "missing":
            return f"{key}: missing: add it (presets/cpu.yaml and the committed params.yaml show a value)"
        case "extra_forbidden":
            close = difflib.get_close_matches(str(location[-1]), _siblings(location), n=1)
            return f"{key}: unknown key: " + (f"did you mean {close[0]}?" if close else "remove it")
        case "value_error":
            return f"{key}: {problem['ctx']['error']}"
    given = repr(problem["input"])
    message = problem["msg"].removeprefix("Input ").replace("should", "must")
    return f"{key}: {given if len(given) <= 60 else given[:57] + '...'}: {message}"


def _siblings(location: list[str | int]) -> list[str]:
    """The keys that the schema knows where `location` stands."""
    model: type[BaseModel] = Params
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return list(model.model_fields)
