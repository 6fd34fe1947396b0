"""Rows from the source that params name: cleaned, counted, and split into those to learn from and those held out."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from stages.common import records
from stages.common.errors import UserError
from stages.common.params.data import Dataset
from stages.common.records import Row
from stages.common.sources import builtin, files, hub

HUB_COLUMNS = {"question": "Question", "reasoning": "Complex_CoT", "response": "Response"}
BUILTIN_COLUMNS = {**HUB_COLUMNS, "answer": "answer"}


def source(dataset: Dataset) -> tuple[Iterator[Row], dict[str, str], str]:
    """The rows of the chosen source as they come, its column for each of ours, and the kind of its questions."""
    match dataset.source:
        case "builtin":
            return builtin.rows(dataset.builtin.seed, dataset.builtin.scores), BUILTIN_COLUMNS, "number"
        case "hub":
            return hub.rows(dataset.hub), HUB_COLUMNS, "open"
        case "files":
            columns = {ours: theirs for ours, theirs in dataset.files.columns if theirs}
            return files.rows(dataset.files.data_files, list(columns.values())), columns, "open"


class Cleaner:
    """Turns raw rows into records, and counts what it drops by reason."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.seen = 0
        self.dropped: Counter[str] = Counter()
        self._questions: set[int] = set()

    def clean(self, row: Row, columns: dict[str, str]) -> Row | None:
        """The row under our names, stripped; None, and counted, where it is incomplete or its question came before."""
        self.seen += 1
        record = {}
        for ours, theirs in columns.items():
            value = row.get(theirs)
            if isinstance(value, float) and math.isnan(value):  # how tables of numbers say that there is none
                value = None
            if isinstance(value, int | float) and not isinstance(value, bool) and ours == "answer":
                value = str(value)
            if not isinstance(value, str):
                return self.drop(f"{'no' if value is None else 'mistyped'} {ours}")
            record[ours] = value.strip()
            if not record[ours]:
                return self.drop(f"empty {ours}")
        key = hash_of(f"{record.get('context', '')} {record['question']}")
        if key in self._questions:
            return self.drop("duplicate question")
        self._questions.add(key)
        return record

    def drop(self, reason: str) -> None:
        """Count a row that is left out."""
        self.dropped[reason] += 1

    def check(self, name: str, max_dropped_share: float) -> None:
        """Raise UserError where nothing is left, or more than the given share was dropped."""
        dropped = sum(self.dropped.values())
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.dropped.items()))
        if dropped == self.seen:
            raise UserError(f"{name}: no usable row among {self.seen} ({reasons or 'it is empty'}): look at the source")
        if dropped > max_dropped_share * self.seen:
            raise UserError(
                f"{name}: {dropped} of {self.seen} rows dropped ({reasons}), more than dataset.max_dropped_share "
                f"{max_dropped_share}: mend the source, its columns in params.yaml, or raise the share"
            )


def normalise(question: str) -> str:
    """A question without case, punctuation, accents and spacing: two that differ in no more are one question."""
    text = unicodedata.normalize("NFKD", question).casefold()
    return " ".join(re.findall(r"\w+", "".join(letter for letter in text if not unicodedata.combining(letter))))


def hash_of(question: str) -> int:
    """64 bits of the SHA-256 of the normalised question."""
    return int(records.fingerprint(normalise(question)), 16)


def is_held_out(question: str, eval_share: float) -> bool:
    """Whether a question is in the held-out share: by its own content, so that more rows never move one across."""
    return hash_of(question) < eval_share * 2**64


def split(dataset: Dataset, cleaner: Cleaner) -> Iterator[Row]:
    """Records of the sets `train` and `heldout`, until both have as many rows as params ask for or the source ends."""
    rows, columns, kind = source(dataset)
    wanted = {"train": dataset.train_rows, "heldout": dataset.eval_rows}
    for row in rows:
        record = cleaner.clean(row, columns)
        if record is None:
            continue
        name = "heldout" if is_held_out(record["question"], dataset.eval_share) else "train"
        if not wanted[name]:
            continue
        wanted[name] -= 1
        yield {"id": records.fingerprint(record), "kind": kind, "set": name, **record}
        if not any(wanted.values()):
            return
