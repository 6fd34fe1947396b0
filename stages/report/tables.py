"""Every question with both answers as a table."""

import csv
import io

from stages.evaluate.comparison import ARMS
from stages.files.records import Row


def answers(rows: list[Row]) -> str:
    """CSV with a row a question: both answers, their grades and why the wrong ones are wrong."""
    columns = ("correct", "extracted", "reason", "finish_reason", "tokens", "text")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "set", "question", "answer", *(f"{arm}_{column}" for arm in ARMS for column in columns)])
    for row in rows:
        record = row["record"]
        asked = [record["id"], row["set"], record["question"], record.get("answer", record.get("response"))]
        writer.writerow(asked + [row[arm][column] for arm in ARMS for column in columns])
    return text.getvalue()
