"""Rows of local files in data/input: JSON (a list of objects), JSONL, CSV (with a header) or Parquet."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from stages.common.errors import UserError
from stages.common.records import Row

FOLDER = Path("data/input")


def rows(data_files: list[str], columns: list[str]) -> Iterator[Row]:
    """The rows of the files, one file after the other.

    Raises UserError where a file is missing or cannot be read, or where none of its rows has one of `columns`.
    """
    for name in data_files:
        path = FOLDER / name
        if not path.is_file():
            raise UserError(f"{path}: no such file: put it there, or change data_files in params.yaml")
        seen: set[str] = set()
        try:
            for row in READERS[path.suffix](path):
                if not isinstance(row, dict):
                    raise UserError(f"{path}: a row is {type(row).__name__}, not an object with named columns")
                seen.update(row)
                yield row
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {' '.join((error.strerror or str(error)).split())}") from None
        missing = [column for column in columns if column not in seen]
        if missing and seen:
            raise UserError(f"{path}: no column {', '.join(missing)}: it has {', '.join(sorted(map(str, seen)))}")


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file as they are, less a byte order mark."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise UserError(f"{path}, line {number}: not UTF-8: convert the file (iconv -t UTF-8)") from None
            yield text


def _jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield _parse(line, f"{path}, line {number}")


def _json(path: Path) -> Iterator[Row]:
    value = _parse("".join(_lines(path)), str(path))
    if not isinstance(value, list):
        raise UserError(f"{path}: holds {type(value).__name__}, not a list of rows: one object a line is .jsonl")
    yield from value


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(2**30)
    reader = csv.DictReader(_lines(path), strict=True)
    try:
        for row in reader:
            if None in row:
                raise UserError(
                    f"{path}, line {reader.line_num}: more cells than columns: quote cells that hold a comma"
                )
            yield row
    except csv.Error as error:
        row = f"{path}, row from line {reader.line_num + 1}"
        raise UserError(f"{row}: not valid CSV: {error}: correct its quotes") from None


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(1000):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OverflowError, ValueError) as error:
        raise UserError(f"{path}: not valid Parquet: {' '.join(str(error).split())}: write it again") from None


def _parse(text: str, where: str) -> Row | list[Row]:
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():  # half of a surrogate pair is valid JSON, but no UTF-8 and no token
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: no JSON ({' '.join(str(error).split())}): correct or remove it") from None
    return value


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
