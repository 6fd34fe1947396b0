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
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not UTF-8 at byte {error.start}: convert it (iconv -t UTF-8)") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        missing = [column for column in columns if column not in seen]
        if missing and seen:
            raise UserError(f"{path}: no column {', '.join(missing)}: it has {', '.join(sorted(map(str, seen)))}")


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _parse(line, f"{path}, line {number}")


def _json(path: Path) -> Iterator[Row]:
    value = _parse(path.read_text(encoding="utf-8-sig"), str(path))
    if not isinstance(value, list):
        raise UserError(f"{path}: holds {type(value).__name__}, not a list of rows: one object a line is .jsonl")
    yield from value


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(2**30)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield from csv.DictReader(file)
        except csv.Error as error:
            raise UserError(f"{path}: not valid CSV: {error}") from None


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(1000):
            yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise UserError(f"{path}: not valid Parquet: {' '.join(str(error).split())}") from None


def _parse(text: str, where: str) -> Row | list[Row]:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where}: no JSON ({' '.join(str(error).split())}): correct or remove it") from None


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
