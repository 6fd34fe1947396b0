"""What several runs show together: the control, the seeds, the verdict on the test questions."""

import csv
import io
import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from stages.evaluate import studies
from stages.evaluate.comparison import rounded
from stages.experiments import runs
from stages.experiments.seeds import recipe
from stages.files import records
from stages.files.errors import UserError
from stages.files.records import Row
from stages.params.schema import Params

RAW = (Path("data/raw/heldout.jsonl"), Path("data/raw/evaluation.jsonl"))
TRAIN = Path("data/raw/train.jsonl")
ANSWERS, COMPARE = Path("metrics/answers.csv"), Path("metrics/compare.json")
VERDICT = Path("metrics/verdict")
SHOWN = ("report.html", "report.md", "scores.json", "compare.json", "answers.csv")
MOST = 100
OF_CONTROL = ("n", "before", "after", "diff", "ci_low", "ci_high", "verdict")


def seeds(params: Params, wanted: str) -> str:
    """Run the pipeline with `wanted` training seeds, the workspace's own first; returns a summary."""
    if not wanted.isdecimal() or not 2 <= int(wanted) <= MOST:
        raise UserError(f"N={wanted}: must be a whole number from 2 to {MOST}: make seeds N=5")
    own, found = params.training.seed, {}
    for seed in range(own, own + int(wanted)):
        if seed == own:
            runs.repro()
            found[seed] = graded(ANSWERS.read_text(encoding="utf-8"))
        else:
            commit = runs.experiment(
                f"study-seed-{seed}", _with(params, "training", seed=seed), f"training.seed={seed}"
            )
            found[seed] = graded(runs.show(commit, ANSWERS.as_posix()))
    groups = {(row["set"], row["id"]): row.get("group") for path in RAW for row in records.read(path)}
    sets = {name: _recipe(name, found, groups) for name in dict.fromkeys(row["set"] for row in found[own])}
    _keep("seeds", params, found[own], {"seeds": list(found), "sets": sets})
    rates = (f"{name} {', '.join(f'{100 * rate:.1f}' for rate in one['after'])} %" for name, one in sets.items())
    return f"right after training with seeds {', '.join(map(str, found))}: {'; '.join(rates)}"


def _recipe(name: str, found: dict[int, list[Row]], known: dict[tuple[str, str], str | None]) -> Row:
    """One set's rates by seed, and its recipe over seeds and questions."""
    by_seed = [[row for row in rows if row["set"] == name] for rows in found.values()]
    asked = [[row["record"]["id"] for row in rows] for rows in by_seed]
    if any(ids != asked[0] for ids in asked):
        raise UserError(f"{name}: seeds were asked different questions: `dvc repro`, then run this again")
    of = [known[name, one] for one in asked[0]]
    differences = [[row["after"]["correct"] - row["before"]["correct"] for row in rows] for rows in by_seed]
    after = [sum(row["after"]["correct"] for row in rows) / len(rows) for rows in by_seed]
    groups = None if None in of else of
    enough = len(set(groups or asked[0])) > 1  # a set of one question says nothing of others
    return {"after": after, "recipe": asdict(recipe(differences, groups)) if enough else None}


def control(params: Params) -> str:
    """Train once on completions swapped between questions; returns what of the gain is form."""
    if params.dataset.swap_completions:
        raise UserError("dataset.swap_completions: true: the control is compared with the real run: set it to false")
    runs.repro()
    real, own = _read(COMPARE.read_text(encoding="utf-8")), graded(ANSWERS.read_text(encoding="utf-8"))
    commit = runs.experiment(
        "study-control", _with(params, "dataset", swap_completions=True), "dataset.swap_completions=true"
    )
    swapped = _read(runs.show(commit, COMPARE.as_posix()))
    sets = {name: _form(real[name], one) for name, one in swapped.items() if name in real}
    _keep("control", params, own, {"sets": sets})
    said = (f"{name} {100 * one['diff']:+.1f} of {100 * real[name]['diff']:+.1f} points" for name, one in sets.items())
    return f"form alone, learned from swapped completions, gains {'; '.join(said)}"


def _form(real: Row, swapped: Row) -> Row:
    """One set of the control, and its share of the real run's differences."""
    found = {key: swapped[key] for key in OF_CONTROL}
    found["share"] = swapped["diff"] / real["diff"] if real["diff"] else None
    if loss := swapped["reference_loss"]:
        gain = real["reference_loss"]["diff"]
        found["reference_loss"] = {key: loss[key] for key in ("before", "after", "diff")}
        found["reference_loss"]["share"] = loss["diff"] / gain if gain else None
    return found


def verdict(params: Params) -> str:
    """Ask the test questions, once the ledger holds it, and keep the report; returns where it is."""
    if params.evaluation.split == "test":
        raise UserError("evaluation.split: 'test': the verdict asks the test questions itself: set it to validation")
    runs.repro()
    test = _with(params, "evaluation", split="test")
    ids: dict[str, list[str]] = defaultdict(list)
    for row in (row for path in RAW for row in records.read(path)):
        if row.get("split") == "test":
            ids[row["set"]].append(row["id"])
    learned = [row["id"] for row in records.read(TRAIN)]
    line = studies.look(params, ids, learned)
    if line not in studies.ledger(studies.LEDGER):
        # Before the look: one that is killed in its middle may have been seen.
        known = [one for one in studies.LEDGER.read_text(encoding="utf-8").splitlines() if one.strip()]
        records.write_text(studies.LEDGER, "\n".join([*known, records.line(line)]))
    looks = studies.looks(studies.LEDGER, test, ids, learned)
    commit = runs.experiment("study-verdict", test, "evaluation.split=test")
    for name in SHOWN:
        records.write_text(VERDICT / name, runs.show(commit, f"metrics/{name}"))
    runs.repro()
    most = max(looks.values())
    counted = "for the first time" if most == 1 else f"in {most} configurations by now"
    return f"test questions asked {counted}: see {VERDICT}/report.html; commit it with {studies.LEDGER}"


def graded(table: str) -> list[Row]:
    """The rows of metrics/answers.csv, a row a question, as far as studies compare them: means over samples."""
    csv.field_size_limit(2**30)  # an answer of many tokens
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in csv.DictReader(io.StringIO(table)):
        found[row["set"], row["id"]].append(row)
    return [
        {"set": name, "record": {"id": one}}
        | {arm: {"correct": _mean(samples, f"{arm}_correct")} for arm in ("before", "after")}
        for (name, one), samples in found.items()
    ]


def _mean(samples: list[Row], column: str) -> float:
    return sum(sample[column] == "True" for sample in samples) / len(samples)


def _with(params: Params, section: str, **values: object) -> Params:
    return params.model_copy(update={section: getattr(params, section).model_copy(update=values)})


def _read(text: str) -> dict[str, Row]:
    found: dict[str, Row] = json.loads(text)
    return found


def _keep(name: str, params: Params, rows: list[Row], study: Row) -> None:
    """Write a study beside the others of the same run, and bring the report up to date."""
    known = studies.load(studies.STUDIES)
    known[name] = {"key": studies.key(params, rows), **rounded(study)}
    records.write_json(studies.STUDIES, known)
    runs.repro()
