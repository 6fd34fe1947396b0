"""Answers that outlive their run, reused for the same model, prompt and settings."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from stages.files import records
from stages.files.errors import path_in_errors
from stages.files.records import Row
from stages.runtime import identity

HOME = identity.CACHE / "answers"
MOST = 2_000_000_000  # bytes of all journals together; the ones not used for longest go first


class Journal(dict[str, Row]):
    """Rows by key, each written to a file when set; damaged or truncated lines are skipped."""

    def __init__(self, path: Path) -> None:
        """Read what is there, and open the file for more."""
        super().__init__()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._file = path, path.open("a+", encoding="utf-8", errors="replace", newline="\n")
        self._file.seek(0)
        damaged, line = 0, "\n"
        for line in self._file:
            with suppress(ValueError, TypeError, RecursionError):
                key, row, digest = json.loads(line)
                if digest == records.fingerprint([key, row]):
                    super().__setitem__(key, row)
                    continue
            damaged += 1
        if damaged:
            print(f"{path}: {damaged} damaged or half-written lines: made again", flush=True)
        if not line.endswith("\n"):
            self._file.write("\n")

    def __setitem__(self, key: str, row: Row) -> None:
        """Keep a row, also for the next process."""
        super().__setitem__(key, row)
        with path_in_errors(self._path):
            self._file.write(json.dumps([key, row, records.fingerprint([key, row])]) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with path_in_errors(self._path):
            self._file.close()


@contextmanager
def opened(stage: str, values: list[Any], inputs: list[Path]) -> Iterator[Journal]:
    """The journal of a stage for these values, inputs, code, libraries, processor; others wait."""
    path = HOME / f"{stage}-{identity.key(stage, values, inputs)}.jsonl"
    with identity.one_at_a_time(stage, HOME):
        with closing(Journal(path)) as kept:
            if kept:
                print(f"{stage}: {len(kept)} results of earlier runs are in {path}", flush=True)
            yield kept
        _prune(path)


def _prune(used: Path) -> None:
    """Remove the journals not used for longest, down to MOST bytes; the one in use stays."""
    used.touch()
    journals = sorted(HOME.glob("*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in journals:
        total += path.stat().st_size
        if total > MOST and path != used:
            path.unlink()
