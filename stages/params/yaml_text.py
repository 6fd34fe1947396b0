"""The text of a params file as plain values: YAML 1.2, as DVC reads it (5e-05 is a number)."""

import os
import stat
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from stages.files.errors import UserError

LONGEST = 64_000  # bytes; ours have 5,000, and the parser takes seconds for ten times as many
# What the parser raises beside its own errors: `!!bool x` is a KeyError, 2024-99-99 a ValueError, and so on.
BROKEN = (YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def read(path: Path) -> Any:
    """Parse a YAML file. Raises UserError where it cannot be read or parsed."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for ever
            raise UserError(f"{path}: a folder or a pipe, no file: put the params file there")
        if status.st_size > LONGEST:
            raise UserError(f"{path}: {status.st_size:,} bytes, and at most {LONGEST:,} are read: shorten it")
        return parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise UserError(f"{path}: not found: run from the root of the repository") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): make it readable") from None


def parse(text: str, name: str) -> Any:
    """Parse YAML 1.2; `name` says in messages where it is from."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{name}{line}: not valid YAML: {_one_line(error.problem)}: correct that line") from None
    except RecursionError:
        reason = "lists or mappings inside each other without end"
        raise UserError(f"{name}: not valid YAML: {reason}: correct it") from None
    except BROKEN as error:
        reason = error if isinstance(error, YAMLError | ValueError) else f"a value does not fit its tag ({error})"
        raise UserError(f"{name}: not valid YAML: {_one_line(reason)}: correct it") from None


def _one_line(text: Any) -> str:
    words = " ".join(str(text).split())
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in words[:200])
