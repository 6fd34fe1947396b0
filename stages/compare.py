"""Grade the answers of both arms and say, with numbers, what the fine-tune changed.

usage: python -m stages.compare
"""

import csv
import io
import json
from importlib.metadata import version
from pathlib import Path

from stages.files import errors, records
from stages.params.data_schema import FilesEvaluationSet, HubEvaluationSet, PackageEvaluationSet
from stages.params.schema import Params
from stages.runtime import stage

RAW = (Path("data/raw/heldout.jsonl"), Path("data/raw/evaluation.jsonl"))
TRAIN = Path("data/raw/train.jsonl")
ARMS = {"before": Path("data/answers/baseline.jsonl"), "after": Path("data/answers/post.jsonl")}
DATASET = Path("data/raw/summary.json")
PROMPTS = Path("data/prompts/summary.json")
TRAINING = Path("models/training/summary.json")
LOSS = Path("models/training/loss.csv")

SCORES = Path("metrics/scores.json")
COMPARE = Path("metrics/compare.json")
ANSWERS = Path("metrics/answers.csv")
PLOTS = Path("metrics/plots")
REPORT = Path("metrics/report.html")
SUMMARY = Path("metrics/report.md")
PACKAGES = (
    "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "safetensors", "scipy",
    "statsmodels", "wandb", "dvc",
)  # fmt: skip


def main(params: Params) -> str:
    """Write the comparison, the table of answers and the report; returns the summary."""
    # Imported late: statistics and charts are heavy, and params are checked before anything heavy is.
    from stages.evaluate import comparison, studies
    from stages.evaluate.thinking import Tags
    from stages.report import page, plots, tables, verdict, wording
    from stages.report.caveats import unasked
    from stages.report.context import Context

    prompts = json.loads(read(PROMPTS))
    tags = Tags(*params.prompt.thinking_tags, opened=prompts["thinking_opened"])
    split = params.evaluation.split
    rows = comparison.graded(RAW, ARMS, params.grading, tags, count=params.generation.samples, split=split)
    ids: dict[str, list[str]] = {}
    for row in rows:
        ids.setdefault(row["set"], []).append(row["record"]["id"])
    looks = studies.looks(studies.LEDGER, params, ids, (row["id"] for row in records.read(TRAIN)))
    training = [row for row in records.read(TRAIN) if "answer" in row]
    results = comparison.summarise(rows, params.grading, training=training, split=split, looks=looks)
    results = comparison.rounded(results)
    context = Context(
        results=results,
        rows=rows,
        tags=tags,
        free=comparison.free(ARMS, params.free_questions),
        loss=list(csv.DictReader(io.StringIO(read(LOSS)))),
        training=json.loads(read(TRAINING)),
        dataset=json.loads(read(DATASET)),
        prompts=prompts,
        params=params.of_run(),
        # Without torch's build suffix: the report is the same wherever the pinned versions are.
        versions={name: version(name).split("+")[0] for name in PACKAGES},
        revisions=revisions(params),
        studies=studies.read(studies.STUDIES, params, rows),
        export=studies.read(studies.EXPORT, params, rows, ["export"])["export"],
    )
    counts = context.dataset
    dropped = sum(sum(reasons.values()) for group in ("dropped", "leaks") for reasons in counts[group].values())
    rows_of = {"rows": prompts["train"], "dropped": dropped, "unused": sum(counts["unused"].values())}
    losses = {name: context.training[name] for name in ("loss", "eval_loss")}
    records.write_json(SCORES, {**comparison.scores(results), **losses, **rows_of})
    records.write_json(COMPARE, results)
    records.write_text(ANSWERS, tables.answers(rows))
    for name, chart in plots.svgs(context).items():
        records.write_text(PLOTS / f"{name}.svg", chart)
    records.write_text(REPORT, page.html(context))
    records.write_text(SUMMARY, page.markdown(context))
    said = [verdict.sentence(wording.label(name), one, len(results)) for name, one in results.items()]
    return " ".join([*said, *unasked(context)])


def read(path: Path) -> str:
    """The text of a file of an earlier stage. Raises UserError where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise errors.not_made(path) from None


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
    further = {f"evaluation set {one.name}": _revision(one) for one in params.evaluation_sets}
    return {"base model": models[params.model.source], "dataset": datasets[dataset.source], **further}


def _revision(one: HubEvaluationSet | FilesEvaluationSet | PackageEvaluationSet) -> str:
    match one.source:
        case "hub":
            return f"{one.hub.path} ({one.hub.split}) at {one.hub.revision}"
        case "package":
            package = one.package
            return f"{package.name} {', '.join(package.data_files)}, SHA-256 {package.sha256}"
        case "files":
            return ", ".join(one.data_files)


if __name__ == "__main__":
    stage.run("compare", main)
