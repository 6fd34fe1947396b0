"""Rows of local files in data/input: JSON (a list of objects), JSONL, CSV (with a header) or Parquet."""

import csv
import json
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from stages.files.errors import UserError
from stages.files.records import Row

FOLDER = Path("data/input")
LINKED = Path(".dvc/cache")  # where `dvc add` may link a file to
SHOWN, CHARACTERS = 8, 40  # columns that a message names, and how much of each


def rows(data_files: list[str], columns: list[str]) -> Iterator[Row]:
    """The rows of the files, one file after the other.

    Raises UserError, at once, where a file is missing or no file of the folder; and, where its turn comes, where it
    cannot be read, or none of its rows has one of `columns`.
    """
    paths = [FOLDER / name for name in data_files]
    for path in paths:
        _check_place(path)
    return (row for path in paths for row in _rows(path, columns))


def _check_place(path: Path) -> None:
    """Raise UserError where there is no file, or one that only links out of the folder."""
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file: put it there, or change data_files in params.yaml") from None
    except (OSError, RuntimeError) as error:  # a RuntimeError is a link to itself
        raise UserError(f"{path}: cannot be read: {_one_line(getattr(error, 'strerror', None) or error)}") from None
    if not any(target.is_relative_to(folder.resolve()) for folder in (FOLDER, LINKED)):
        raise UserError(f"{path}: a link out of {FOLDER}, to {target}: copy that file (`dvc unprotect` for a cache)")
    if stat.S_ISDIR(mode):
        raise UserError(f"{path}: a folder: name the files in it, in data_files of params.yaml")
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: a pipe or a device, no file: write its rows into a file")


def _rows(path: Path, columns: list[str]) -> Iterator[Row]:
    missing, names = set(columns), set()
    try:
        for number, row in enumerate(READERS[path.suffix](path, columns), 1):
            if not isinstance(row, dict):
                raise UserError(f"{path}, row {number}: {type(row).__name__}, not an object with named columns")
            missing.difference_update(row)
            if missing and len(names) < SHOWN:
                names.update(row)
            yield row
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {_one_line(error.strerror or error)}") from None
    if missing and names:
        raise UserError(_no_column(path, columns, missing, names))


def _check_header(path: Path, names: list[str], columns: list[str]) -> None:
    """Raise UserError where a header lacks one of the columns, or has one of them twice."""
    if missing := set(columns).difference(names):
        raise UserError(_no_column(path, columns, missing, names))
    if twice := [column for column in columns if names.count(column) > 1]:
        raise UserError(f"{path}: column {twice[0]} is there {names.count(twice[0])} times: rename all but one")


def _no_column(path: Path, columns: list[str], missing: set[str], names: Iterable[str]) -> str:
    wanted = ", ".join(column[:CHARACTERS] for column in columns if column in missing)
    known = sorted({one if one.isprintable() else repr(one) for one in names})
    there = ", ".join(one[:CHARACTERS] for one in known[:SHOWN]) + (", …" if len(known) > SHOWN else "")
    return f"{path}: no column {wanted}: it has {there}: change columns in params.yaml, or the file"


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file as they are, less a byte order mark."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise UserError(f"{path}, line {number}: not UTF-8: convert the file (iconv -t UTF-8)") from None
            yield text


def _jsonl(path: Path, columns: list[str]) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield _parse(line, f"{path}, line {number}")


def _json(path: Path, columns: list[str]) -> Iterator[Row]:
    value = _parse("".join(_lines(path)), str(path))
    if not isinstance(value, list):
        raise UserError(f"{path}: holds {type(value).__name__}, not a list of rows: one object a line is .jsonl")
    yield from value


def _csv(path: Path, columns: list[str]) -> Iterator[Row]:
    csv.field_size_limit(2**30)
    reader = csv.DictReader(_lines(path), strict=True)
    try:
        if reader.fieldnames:
            _check_header(path, list(reader.fieldnames), columns)
        for row in reader:
            if None in row:
                raise UserError(
                    f"{path}, line {reader.line_num}: more cells than columns: quote cells that hold a comma"
                )
            yield row
    except csv.Error as error:
        row = f"{path}, row from line {reader.line_num + 1}"
        raise UserError(f"{row}: not valid CSV: {error}: correct its quotes") from None


def _parquet(path: Path, columns: list[str]) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        _check_header(path, file.schema_arrow.names, columns)
        for batch in file.iter_batches(100, columns=columns):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, LookupError, OverflowError, ValueError) as error:
        raise UserError(f"{path}: not valid Parquet: {_one_line(error)}: write it again") from None


def _parse(text: str, where: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_object)
        if "\\ud" in text.lower():  # half of a surrogate pair is valid JSON, but no UTF-8 and no token
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: no JSON ({_one_line(error)}): correct or remove it") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> Row:
    """An object of pairs of keys and values. Raises ValueError where one value would silently replace another."""
    row = dict(pairs)
    if len(row) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(f"the key {counts.most_common(1)[0][0][:CHARACTERS]!r} is given twice")
    return row


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())[:300]


READERS: dict[str, Callable[[Path, list[str]], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
