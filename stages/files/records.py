"""Files of rows: one JSON object a line, keys sorted, UTF-8, written atomically."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from itertools import islice
from pathlib import Path
from typing import IO, Any

from stages.files import errors
from stages.files.errors import path_in_errors

Row = dict[str, Any]


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[str]]:
    """Open a text file that replaces `path` when the block ends, and is removed when it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{escape(path.name)}.*.partial"):  # by a process that was killed here
        left.unlink()
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with path_in_errors(path, partial):
            with partial.open("w", encoding="utf-8", newline="\n") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
    finally:
        if partial.exists():
            partial.unlink()


def sync(path: Path) -> None:
    """fsync a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def line(row: Row) -> str:
    """One row as its line in a file."""
    return json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n"


def write(path: Path, rows: Iterable[Row]) -> int:
    """Write rows to a JSONL file; returns how many."""
    with atomic_write(path) as file:
        return write_lines(file, rows)


def write_lines(file: IO[str], rows: Iterable[Row]) -> int:
    """Write rows to an open file; returns how many."""
    count = 0
    for row in rows:
        file.write(line(row))
        count += 1
    return count


def read(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSONL file. Raises UserError where the file is missing or damaged."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                try:
                    row = json.loads(text)
                except (ValueError, RecursionError) as error:
                    raise errors.damaged(f"{path}, line {number}", error) from None
                if not isinstance(row, dict):
                    raise errors.damaged(f"{path}, line {number}")
                yield row
    except FileNotFoundError:
        raise errors.not_made(path) from None
    except UnicodeDecodeError as error:
        raise errors.damaged(str(path), error) from None


def count(path: Path) -> int | None:
    """How many rows a JSONL file has, for a progress bar; None where it is missing."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        return sum(1 for _ in file)


def batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Rows in lists of `size`, the last one shorter (itertools.batched is of Python 3.12)."""
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch


def write_text(path: Path, text: str) -> None:
    """Write a whole text file."""
    with atomic_write(path) as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write a small JSON file that people read and Git compares."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def fingerprint(value: Any, length: int = 16) -> str:
    """The first hexadecimal digits of the SHA-256 of a JSON value."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
