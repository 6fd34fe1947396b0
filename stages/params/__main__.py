"""Check params.yaml, or merge a preset into it.

python -m stages.params check
python -m stages.params use gpu-8b
python -m stages.params needs-gpu
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages import params
from stages.files import records
from stages.files.errors import UserError
from stages.params.schema import Params

PRESETS = Path("presets")


def use(name: str) -> str:
    """Put the values of presets/NAME.yaml into params.yaml; write nothing that is not valid."""
    text, changed = edited(name)
    if changed:
        records.write_text(params.PATH, text)
    return f"{params.PATH}: preset {name}: {', '.join(changed) or 'no change'}"


def edited(name: str) -> tuple[str, list[str]]:
    """The text of params.yaml with a preset's values, as written there, and the changed keys.

    No other character changes, so that comments stay and `use cpu` restores the committed file.
    """
    before = dict(leaves(params.load().model_dump()))
    wanted = merged(name)
    params.check(wanted, f"{params.PATH} with preset {name}")
    changed = [key for key, value in leaves(read_preset(name)) if before.get(key) != value]
    preset, text = _text(PRESETS / f"{name}.yaml"), _text(params.PATH)
    if "\r\n" in text:
        preset = preset.replace("\n", "\r\n")
    values = {key: preset[start:end] for key, start, end in places(preset)}
    for key, start, end in reversed(list(places(text))):
        if key in changed:
            text = text[:start] + values[key] + text[end:]
    if params.parse(text, f"{params.PATH} with preset {name}") != wanted:
        problem = f"anchors or lists over several lines are in the way of preset {name}"
        raise UserError(f"{params.PATH}: {problem}: edit by hand")
    return text, changed


def merged(name: str) -> dict[str, Any]:
    """The values of params.yaml with a preset merged in, as plain data."""

    def merge(old: Any, new: Any) -> Any:
        if not (isinstance(old, dict) and isinstance(new, dict)):
            return new
        return old | {key: merge(old.get(key), value) for key, value in new.items()}

    return merge(params.read(params.PATH), read_preset(name))


def read_preset(name: str) -> dict[str, Any]:
    """The values of a preset. Raises UserError with all names where `name` is none of them."""
    path = PRESETS / f"{name}.yaml"
    names = sorted(one.stem for one in PRESETS.glob("*.yaml"))
    if name not in names:
        raise UserError(f"preset {name}: there is none: choose one of {', '.join(names)}")
    values = params.read(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: must be a mapping, lines of `key: value`")
    return values


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted keys and values of a nested mapping; a list is one value."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def places(text: str) -> Iterator[tuple[str, int, int]]:
    """The dotted keys of a YAML text, and where the value of each starts, after its colon, and ends."""

    def walk(node: Any, prefix: str) -> Iterator[tuple[str, int, int]]:
        for key, value in node.value:
            if value.id == "mapping":
                yield from walk(value, f"{prefix}{key.value}.")
            else:
                yield f"{prefix}{key.value}", text.index(":", key.end_mark.index) + 1, end(value)

    def end(node: Any) -> int:
        """Of a list or a mapping over several lines, the end of its last value: its own mark is beyond comments."""
        if node.id == "scalar" or node.flow_style:
            return node.end_mark.index
        return end(node.value[-1] if node.id == "sequence" else node.value[-1][1])

    yield from walk(YAML(typ="safe", pure=True).compose(text), "")


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8")  # as it is: read_text would turn \r\n into \n


def needs_gpu(checked: Params) -> bool:
    """Whether these params use a library that only requirements-gpu.txt installs."""
    model, optim = checked.model, checked.training.optim
    return model.backend == "unsloth" or model.load_in_4bit or model.use_liger_kernel or "8bit" in optim


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stages.params", description=__doc__.splitlines()[0])
    add = parser.add_subparsers(dest="command", required=True).add_parser
    add("check", help="check params.yaml")
    add("use", help="merge a preset into params.yaml").add_argument("name")
    add("needs-gpu", help="whether params.yaml asks for what requirements-gpu.txt installs: exit 0 or 3")
    arguments = parser.parse_args(arguments)
    try:
        match arguments.command:
            case "check":
                params.load()
                print("params.yaml: valid")
            case "use":
                print(use(arguments.name))
            case "needs-gpu":
                return 0 if needs_gpu(params.load()) else 3
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
