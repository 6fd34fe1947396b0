"""Grade the answers of both arms and say, with numbers, what the fine-tune changed.

usage: python -m stages.compare
"""

import csv
import io
from pathlib import Path

from stages.common import comparison, records, stage
from stages.common.params.schema import Params

RAW = Path("data/raw/eval.jsonl")
ARMS = {"before": Path("data/answers/baseline.jsonl"), "after": Path("data/answers/post.jsonl")}
COMPARE = Path("metrics/compare.json")
ANSWERS = Path("metrics/answers.csv")


def main(params: Params) -> str:
    """Write the comparison and the table of answers; returns the summary."""
    rows = comparison.graded(RAW, ARMS, params.grading)
    results = comparison.summarise(rows, params.grading.seed)
    records.write_json(COMPARE, comparison.rounded(results))
    records.write_text(ANSWERS, table(rows))
    return "; ".join(comparison.sentence(name, result) for name, result in results.items())


def table(rows: list[records.Row]) -> str:
    """A row a question with both answers, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    arms = [
        f"{arm}_{column}" for arm in comparison.ARMS for column in ("correct", "extracted", "reason", "tokens", "text")
    ]
    writer.writerow(["id", "set", "question", "answer", *arms])
    for row in rows:
        record = row["record"]
        cells = [record["id"], row["set"], record["question"], record.get("answer", record.get("response"))]
        for arm in comparison.ARMS:
            graded = row[arm]
            cells += [graded["correct"], graded["extracted"], graded["reason"], graded["tokens"], graded["text"]]
        writer.writerow(cells)
    return text.getvalue()


if __name__ == "__main__":
    stage.run("compare", main)
