"""Every question with both arms' answers as a table."""

import csv
import io

from stages.evaluate.comparison import ARMS
from stages.files.records import Row

COLUMNS = (
    "correct", "written", "was_asked", "asked", "extracted", "reason", "finish_reason", "tokens", "text",
)  # fmt: skip


def answers(rows: list[Row]) -> str:
    """CSV with a row a question and sample: both arms' answers, their grades and why the wrong ones are wrong."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = (f"{arm}_{column}" for arm in ARMS for column in COLUMNS)
    writer.writerow(["id", "set", "sample", "question", "answer", *names])
    for row in rows:
        record = row["record"]
        known = [record["question"], record.get("answer", record.get("response"))]
        for number, pair in enumerate(zip(*(row[arm]["samples"] for arm in ARMS), strict=True)):
            found = [sample.get(column) for sample in pair for column in COLUMNS]
            writer.writerow([record["id"], row["set"], number, *known, *found])
    return text.getvalue()
