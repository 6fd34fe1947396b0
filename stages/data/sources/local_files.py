"""Rows of files in data/input: JSON (a list), JSONL, CSV (with a header) or Parquet."""

import csv
import json
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stages.data import data_errors
from stages.files.records import Row

FOLDER = Path("data/input")
DVC_CONFIG = Path(".dvc/config")
NAMED = 8  # columns that are kept for a message, where a file lacks one


def rows(data_files: list[str], columns: list[str]) -> Iterator[Row]:
    """The rows of the files, one file after the other.

    Raises UserError, at once, where a file is missing or no file of the folder; and, where its turn comes, where it
    cannot be read, or none of its rows has one of `columns`.
    """
    paths = [FOLDER / name for name in data_files]
    for path in paths:
        _check_path(path)
    return read(paths, columns)


def read(paths: list[Path], columns: list[str]) -> Iterator[Row]:
    """The rows of the files, one file after the other; raises UserError as `rows` does where a file's turn comes."""
    return (row for path in paths for row in _rows(path, columns))


def _check_path(path: Path) -> None:
    """Raise UserError for a missing file, or a link out of both the folder and DVC's cache."""
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise data_errors.NO_FILE(path=path) from None
    except (OSError, RuntimeError) as error:  # a RuntimeError is a link to itself
        raise data_errors.UNREADABLE(path=path, error=_reason(error)) from None
    if not target.is_relative_to(FOLDER.resolve()) and not target.is_relative_to(_dvc_cache()):
        raise data_errors.LINK_OUT(path=path, folder=FOLDER, target=target)
    if stat.S_ISDIR(mode):
        raise data_errors.FOLDER(path=path)
    if not stat.S_ISREG(mode):
        raise data_errors.NO_REGULAR_FILE(path=path)


def _dvc_cache() -> Path:
    """The folder that `dvc cache dir` prints, to which `dvc add` may link files."""
    from dvc.config import Config, ConfigError

    try:
        return Path(Config(DVC_CONFIG.parent)["cache"].get("dir", ".dvc/cache")).resolve()
    except ConfigError as error:
        raise data_errors.UNREADABLE(path=DVC_CONFIG, error=_reason(error)) from None


def _rows(path: Path, columns: list[str]) -> Iterator[Row]:
    missing, names = set(columns), set()
    try:
        for number, row in enumerate(READERS[path.suffix](path, columns), 1):
            if not isinstance(row, dict):
                raise data_errors.NO_OBJECT(path=path, number=number, kind=type(row).__name__)
            missing.difference_update(row)
            if missing and len(names) <= NAMED:
                names.update(row)
            yield row
    except OSError as error:
        raise data_errors.UNREADABLE(path=path, error=_reason(error)) from None
    if missing and names:
        raise data_errors.no_column(path, columns, missing, names)


def _check_header(path: Path, names: list[str], columns: list[str]) -> None:
    """Raise UserError where a header lacks one of the columns, or has one of them twice."""
    if missing := set(columns).difference(names):
        raise data_errors.no_column(path, columns, missing, names)
    if twice := [column for column in columns if names.count(column) > 1]:
        raise data_errors.REPEATED_COLUMN(path=path, column=twice[0], count=names.count(twice[0]))


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file as they are, less a byte order mark."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise data_errors.NOT_UTF8(path=path, number=number) from None
            yield text


def _jsonl(path: Path, columns: list[str]) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield _parse(line, f"{path}, line {number}")


def _json(path: Path, columns: list[str]) -> Iterator[Row]:
    value = _parse("".join(_lines(path)), str(path))
    if not isinstance(value, list):
        raise data_errors.NO_LIST(path=path, kind=type(value).__name__)
    yield from value


def _csv(path: Path, columns: list[str]) -> Iterator[Row]:
    csv.field_size_limit(2**30)
    reader = csv.DictReader(_lines(path), strict=True)
    try:
        if reader.fieldnames:
            _check_header(path, list(reader.fieldnames), columns)
        for row in reader:
            if None in row:
                raise data_errors.TOO_MANY_CELLS(path=path, number=reader.line_num)
            yield row
    except csv.Error as error:
        raise data_errors.NO_CSV(path=path, number=reader.line_num + 1, error=error) from None


def _parquet(path: Path, columns: list[str]) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        _check_header(path, file.schema_arrow.names, columns)
        for batch in file.iter_batches(100, columns=columns):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, LookupError, OverflowError, ValueError) as error:
        raise data_errors.NO_PARQUET(path=path, error=error) from None


def _parse(text: str, where: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_object)
        if "\\ud" in text.lower():  # half of a surrogate pair is valid JSON, but no UTF-8 and no token
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise data_errors.NO_JSON(where=where, error=error) from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> Row:
    """An object from its pairs. Raises ValueError for a key that is given twice."""
    row = dict(pairs)
    if len(row) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(data_errors.REPEATED_KEY.format(key=counts.most_common(1)[0][0][:40]))
    return row


def _reason(error: Exception) -> object:
    """What the system says of an error; the error itself where it says nothing."""
    return getattr(error, "strerror", None) or error


READERS: dict[str, Callable[[Path, list[str]], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
