"""What the comparison looks like as CSV, for `dvc plots`."""

import csv
import io
from collections.abc import Iterable

from stages.evaluate.comparison import ARMS
from stages.files.records import Row


def rates(results: dict[str, Row]) -> str:
    """The share of right answers with its 95 % interval, in percent: a row a set and arm."""
    return _csv(
        ["set", "arm", "rate", "low", "high"],
        (
            [name, arm, *(round(100 * result[key], 2) for key in (arm, f"{arm}_low", f"{arm}_high"))]
            for name, result in results.items()
            for arm in ARMS
        ),
    )


def lengths(rows: list[Row]) -> str:
    """The tokens of every answer: a row a question and arm."""
    return _csv(
        ["id", "set", "arm", "tokens"],
        ([row["record"]["id"], row["set"], arm, row[arm]["tokens"]] for row in rows for arm in ARMS),
    )


def answers(rows: list[Row]) -> str:
    """A row a question with both answers, their grades and why the wrong ones are wrong."""
    columns = ("correct", "extracted", "reason", "tokens", "text")
    return _csv(
        ["id", "set", "question", "answer", *(f"{arm}_{column}" for arm in ARMS for column in columns)],
        (
            [record["id"], row["set"], record["question"], record.get("answer", record.get("response"))]
            + [row[arm][column] for arm in ARMS for column in columns]
            for row in rows
            for record in [row["record"]]
        ),
    )


def _csv(header: list[str], rows: Iterable[list]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
