"""Check params.yaml, merge a preset into it, or print a preset as flags of `dvc exp run`.

python -m stages.common.params check
python -m stages.common.params use gpu-8b
dvc exp run $(python -m stages.common.params flags gpu-8b)
"""

import argparse
import io
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.common import params, records
from stages.common.errors import UserError

PRESETS = Path("presets")


def use(name: str) -> str:
    """Merge presets/NAME.yaml into params.yaml, keeping its comments; nothing is written where the result is not valid."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    preset = read_preset(name)
    params.read(params.PATH)
    document = yaml.load(params.PATH.read_text(encoding="utf-8"))
    changed = [key for key, value in leaves(preset) if _set(document, key, value)]
    text = io.StringIO()
    yaml.dump(document, text)
    params.check(YAML(typ="safe", pure=True).load(text.getvalue()), f"params.yaml with preset {name}")
    if changed:
        records.write_text(params.PATH, text.getvalue())
    return f"params.yaml: preset {name}: " + (f"{len(changed)} values changed: {', '.join(changed)}" if changed else "no change")


def flags(name: str) -> str:
    """The preset as `-S key=value` flags."""
    return " ".join(f"-S {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in leaves(read_preset(name)))


def read_preset(name: str) -> dict[str, Any]:
    """The values of a preset. Raises UserError with the names there are where `name` is none of them."""
    path = PRESETS / f"{name}.yaml"
    names = sorted(one.stem for one in PRESETS.glob("*.yaml"))
    if name not in names:
        raise UserError(f"preset {name}: there is none: choose one of {', '.join(names)}")
    return params.read(path)


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted keys and values of a nested mapping; a list is one value."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _set(document: Any, key: str, value: Any) -> bool:
    *sections, last = key.split(".")
    for section in sections:
        document = document.setdefault(section, {})
    if last in document and document[last] == value:
        return False
    document[last] = value
    return True


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stages.common.params", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="check params.yaml")
    commands.add_parser("use", help="merge a preset into params.yaml").add_argument("name")
    commands.add_parser("flags", help="print a preset as flags of dvc exp run").add_argument("name")
    arguments = parser.parse_args(arguments)
    try:
        match arguments.command:
            case "check":
                params.load()
                print("params.yaml: valid")
            case "use":
                print(use(arguments.name))
            case "flags":
                print(flags(arguments.name))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
