"""The answers of both arms: a row a sample, checked, grouped by question, graded as written and as asked.

As written counts what the grader reads in the text. As asked counts the same and, where it reads nothing, the answer
that the model gave when asked once more (`asked`), graded as a line `Answer: X`. Open questions are not asked.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from stages.evaluate.form import form
from stages.evaluate.grade import grade
from stages.evaluate.thinking import Tags
from stages.files import records
from stages.files.errors import UserError
from stages.files.records import Row
from stages.params.schema import Grading

Key = tuple[str, str]  # the set and the id of a question
ARMS = ("before", "after")
ASKED = ("choice", "number")  # kinds


def questions(raw: Iterable[Path], split: str) -> dict[Key, Row]:
    """The records that are asked: those of the split, and those of none, as free questions are."""
    rows = (row for path in raw for row in records.read(path))
    return {(row["set"], row["id"]): row for row in rows if row.get("split", split) == split}


def answers(path: Path, asked: Iterable[Key], samples: int, split: str) -> list[list[Row]]:
    """The samples of each asked question, in order.

    Raises UserError where a sample is missing or other questions are answered: a mean over fewer would look like any
    other.
    """
    found = list(_grouped(path, samples))
    if [key for key, _ in found] != list(asked):
        raise UserError(
            f"{path}: answers different questions than data/raw asks (evaluation.split: {split}): run `dvc repro`"
        )
    return [rows for _, rows in found]


def _grouped(path: Path, samples: int) -> Iterator[tuple[Key, list[Row]]]:
    for key, group in groupby(records.read(path), key=lambda row: (row["set"], row["id"])):
        rows = list(group)
        wanted = 1 if key[0] == "free" else samples
        if [row.get("sample") for row in rows] != list(range(wanted)):
            given = ", ".join(str(row.get("sample")) for row in rows[: wanted + 1])
            raise UserError(
                f"{path}: question {key[1]} of {key[0]}: has the samples {given}, but 0 to {wanted - 1} are needed "
                "(generation.samples): run `dvc repro`"
            )
        yield key, rows


def check_losses(path: Path, rows: Iterable[Row], remedy: str) -> None:
    """Raise UserError for the first reference loss that is not finite: the model is broken."""
    for row in rows:
        loss = row.get("reference_loss")
        if loss is not None and not math.isfinite(loss):
            raise UserError(
                f"{path}: question {row['id']}: reference_loss is {loss}: the model computes no numbers: {remedy}, "
                "then `dvc repro`"
            )


def arm(record: Row, rows: list[Row], grading: Grading, tags: Tags) -> Row:
    """The samples of one question, graded; the first one's fields, and the means of `written` and `correct`."""
    samples = [_graded(record, row, grading, tags) for row in rows]
    means = {key: mean([one[key] for one in samples]) for key in ("written", "correct")}
    return {**samples[0], **means, "samples": samples}


def mean(values: list[bool]) -> bool | float:
    """The mean of the samples of one question; of a single one the boolean, which has exact tests."""
    return values[0] if len(values) == 1 else sum(values) / len(values)


def _graded(record: Row, answer: Row, grading: Grading, tags: Tags) -> Row:
    how = grading.model_dump(exclude={"seed"})
    found = grade(record, answer["text"], finish_reason=answer["finish_reason"], tags=tags, **how)
    asked = found.extracted is None and record["kind"] in ASKED and answer.get("asked") is not None
    counts = grade(record, f"Answer: {answer['asked']}", **how) if asked else found
    both = {"written": found.correct, "correct": counts.correct, "was_asked": asked, "stated": counts.extracted}
    return {**answer, **asdict(found), **form(answer["text"], tags), **both}


def passed(answer: Row) -> bool:
    """pass@k: whether any of the k samples is right."""
    return any(one["correct"] for one in answer["samples"])


def majority(answer: Row) -> bool:
    """maj@k: whether what most samples state is right; the first stated wins a tie; nothing stated is wrong."""
    stated = [one for one in answer["samples"] if one["stated"] is not None]
    if not stated:
        return False
    ((winner, _),) = Counter(one["stated"] for one in stated).most_common(1)  # of equals, the first counted
    return next(one["correct"] for one in stated if one["stated"] == winner)
