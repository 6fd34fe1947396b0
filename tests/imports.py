"""What a stage's code imports and which params it uses, read from its source."""

import ast
import re
from pathlib import Path

TEMPLATES = (".j2", ".css", ".js")  # read by the modules beside them
# What can change no byte of a result: the schema of params, which holds no value; how a stage is run, resumed and
# tracked; what a person reads where it fails; how long a hub is waited for; how much memory is foretold.
EXEMPT = re.compile(
    r"stages/(params/|runtime/(?!processor)|files/(errors|hub)\.py|model/(architecture|checks|memory/__init__|memory/training)\.py|.*_errors\.py)"
)


def modules(path: Path) -> set[Path]:
    """The project's modules that a file imports, at any depth of its code, less those that are exempt."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            base = Path(*name.split("."))
            found |= {file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()}
    return {file for file in found if not EXEMPT.match(file.as_posix())}


def transitive(path: Path) -> set[Path]:
    """The file itself and every module of the project that it imports, directly or not, with their templates."""
    seen: set[Path] = set()
    waiting = {path}
    while waiting:
        current = waiting.pop()
        seen.add(current)
        waiting |= modules(current) - seen
    return seen | {file for one in seen for file in one.parent.iterdir() if file.suffix in TEMPLATES}


def sections(path: Path, names: set[str]) -> set[str]:
    """The sections of params that a stage's code reads, as `params.NAME`."""
    used = set()
    for file in transitive(path):
        for node in ast.walk(ast.parse("" if file.suffix in TEMPLATES else file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params":
                used |= names - {"export"} if node.attr == "of_run" else {node.attr}
    return used & names
