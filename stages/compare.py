"""Grade the answers of both arms and say, with numbers, what the fine-tune changed.

usage: python -m stages.compare
"""

import csv
import io
import json
from importlib.metadata import version
from pathlib import Path

from stages.common import comparison, records, stage
from stages.common.params.schema import Params
from stages.common.report import page, tables
from stages.common.report.context import Context

RAW = Path("data/raw/eval.jsonl")
ARMS = {"before": Path("data/answers/baseline.jsonl"), "after": Path("data/answers/post.jsonl")}
DATASET = Path("metrics/dataset.json")
PROMPTS = Path("metrics/prompts.json")
TRAIN = Path("metrics/train.json")
LOSS = Path("metrics/loss.csv")

COMPARE = Path("metrics/compare.json")
ANSWERS = Path("metrics/answers.csv")
RATES = Path("metrics/rates.csv")
LENGTHS = Path("metrics/lengths.csv")
REPORT = Path("metrics/report.html")
SUMMARY = Path("metrics/report.md")
COLUMNS = ("correct", "extracted", "reason", "tokens", "text")
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "tokenizers", "safetensors", "dvc")


def main(params: Params) -> str:
    """Write the comparison, the table of answers and the report; returns the summary."""
    rows = comparison.graded(RAW, ARMS, params.grading)
    results = comparison.rounded(comparison.summarise(rows, params.grading.seed))
    context = Context(
        results=results,
        rows=rows,
        free=comparison.free(ARMS, params.free_questions),
        loss=list(csv.DictReader(io.StringIO(LOSS.read_text(encoding="utf-8")))),
        train=read(TRAIN),
        dataset=read(DATASET),
        prompts=read(PROMPTS),
        params=params.model_dump(),
        # Without torch's build suffix: the report is the same wherever the pinned versions are.
        versions={name: version(name).split("+")[0] for name in PACKAGES},
        revisions=revisions(params),
    )
    records.write_json(COMPARE, results)
    records.write_text(ANSWERS, table(rows))
    records.write_text(RATES, tables.rates(results))
    records.write_text(LENGTHS, tables.lengths(rows))
    records.write_text(REPORT, page.html(context))
    records.write_text(SUMMARY, page.markdown(context))
    return "; ".join(comparison.sentence(name, result) for name, result in results.items())


def read(path: Path) -> records.Row:
    """A metrics file of an earlier stage."""
    return json.loads(path.read_text(encoding="utf-8"))


def revisions(params: Params) -> dict[str, str]:
    """Which base model and which dataset exactly: what params pin."""
    package, hub, dataset = params.model.package, params.model.hub, params.dataset
    models = {
        "package": f"{package.name} {package.gguf_file}, SHA-256 {package.sha256}",
        "hub": f"{hub.path} at {hub.revision}",
        "random": f"random weights, seed {params.model.random.seed}",
    }
    datasets = {
        "builtin": f"clinical scores by rule, seed {dataset.builtin.seed}",
        "hub": f"{dataset.hub.path} ({dataset.hub.name}, {dataset.hub.split}) at {dataset.hub.revision}",
        "files": ", ".join(dataset.files.data_files),
    }
    return {"base model": models[params.model.source], "dataset": datasets[dataset.source]}


def table(rows: list[records.Row]) -> str:
    """A row a question with both answers, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["id", "set", "question", "answer", *(f"{arm}_{one}" for arm in comparison.ARMS for one in COLUMNS)]
    )
    for row in rows:
        record = row["record"]
        answers = [row[arm][column] for arm in comparison.ARMS for column in COLUMNS]
        writer.writerow(
            [record["id"], row["set"], record["question"], record.get("answer", record.get("response")), *answers]
        )
    return text.getvalue()


if __name__ == "__main__":
    stage.run("compare", main)
