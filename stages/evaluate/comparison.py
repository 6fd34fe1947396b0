"""Both arms compared: every question graded before and after, each set summarised.

The headline figures are about what a model knows: its answers as asked (stages/evaluate/samples.py). Those as written
stand beside them, and the difference between the two differences is form. A question's score is the mean over its
samples (avg@k), so that the question is the unit; pass@k and maj@k are two further views.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages.evaluate import samples, statistics, summary
from stages.evaluate.power import smallest_difference
from stages.evaluate.samples import ARMS
from stages.evaluate.thinking import TAGS, Tags
from stages.evaluate.validity import warnings
from stages.files import records
from stages.files.errors import UserError
from stages.files.records import Row
from stages.params.schema import Grading

REMEDIES = {"before": "set model.dtype to float32 or bfloat16", "after": "lower training.learning_rate"}
BESIDE = ("after", "written_after", "diff", "verdict", "best_baseline")  # of sets beside the held-out one
FEW = 30  # questions or groups; a verdict on fewer is said to be one on few
# What is tested on every set; each of them is corrected over the sets by itself.
TESTED: tuple[Callable[[Row], Row | None], ...] = (
    lambda result: result,
    lambda result: result["written"],
    lambda result: result["pass_at_k"],
    lambda result: result["majority"],
    lambda result: result["baselines"] and result["baselines"]["against"],
)


def graded(
    raw: Iterable[Path],
    arms: dict[str, Path],
    grading: Grading,
    tags: Tags = TAGS,
    *,
    count: int = 1,
    split: str = "validation",
) -> list[Row]:
    """A row a question of the split: its record, and by arm its `count` samples with their grades and forms.

    Raises UserError where a file answers other questions or lacks a sample, or a loss is not finite.
    """
    asked = samples.questions(raw, split)
    answers = {arm: samples.answers(path, asked, count, split) for arm, path in arms.items()}
    for arm, path in arms.items():
        samples.check_losses(path, (row for rows in answers[arm] for row in rows), REMEDIES[arm])
    return [
        {"record": record, "set": record["set"]}
        | {arm: samples.arm(record, rows, grading, tags) for arm, rows in zip(ARMS, pair, strict=True)}
        for record, *pair in zip(asked.values(), *answers.values(), strict=True)
        if record["set"] != "free"
    ]


def free(arms: dict[str, Path], questions: list[str]) -> list[Row]:
    """The free questions with both answers, in the order of params. Raises UserError where others were answered."""
    answers = [[row for row in records.read(path) if row["set"] == "free"] for path in arms.values()]
    asked = [records.fingerprint(question) for question in questions]
    if any([row["id"] for row in rows] != asked for rows in answers):
        raise UserError(f"{' and '.join(map(str, arms.values()))} answer other free questions: run `dvc repro`")
    return [
        {"question": question} | dict(zip(ARMS, pair, strict=True))
        for question, *pair in zip(questions, *answers, strict=True)
    ]


def summarise(
    rows: list[Row],
    grading: Grading,
    *,
    training: Sequence[Row] = (),
    split: str = "validation",
    looks: Mapping[str, int] | None = None,
) -> dict[str, Row]:
    """Each set's n, rates, paired difference with 95 % interval, corrected p and verdict, and what stands beside them.

    `training` are the raw training rows, for the baselines. `looks` are, by set, the configurations that were asked
    these questions: p is corrected by Bonferroni for these and by Holm for the sets.
    """
    sets = {name: [row for row in rows if row["set"] == name] for name in dict.fromkeys(row["set"] for row in rows)}
    results = {name: summary.of_set(chosen, grading, training) for name, chosen in sets.items()}
    for name, result in results.items():
        few = (result["groups"] or result["n"]) < FEW
        result |= {"looks": (looks or {}).get(name, 1), "split": split, "few": few}
        result["warnings"] = warnings(sets[name], result)
    for part in TESTED:
        found = {name: one for name, result in results.items() if (one := part(result))}
        corrected = statistics.holm(
            {name: min(1, one["p_value"] * results[name]["looks"]) for name, one in found.items()}
        )
        for name, one in found.items():
            one["p_corrected"] = corrected[name]
            one["verdict"] = statistics.verdict(one["ci_low"], one["ci_high"], corrected[name])
    for name, result in results.items():
        if result["baselines"]:
            result["baselines"]["verdict"] = result["baselines"]["against"]["verdict"]
        result["reference_loss"] = reference_loss(sets[name], grading.seed)
        result["smallest_difference"] = smallest_difference(
            *summary.scores(sets[name], "correct"),
            comparisons=len(results) * result["looks"],
            groups=summary.group_of(sets[name]),
        )
    return results


def reference_loss(rows: list[Row], seed: int) -> Row | None:
    """The paired difference in loss on the reference answers, in nats a token; lower is better.

    Of the questions with a reference answer; None where the set has none. The verdict is on its own p: it is a second
    view of the same set.
    """
    rows = [row for row in rows if all(row[arm].get("reference_loss") is not None for arm in ARMS)]
    if not rows:
        return None
    losses = [[row[arm]["reference_loss"] for row in rows] for arm in ARMS]
    result: Row = asdict(statistics.paired(*losses, seed=seed, groups=summary.group_of(rows)))
    verdict = statistics.verdict(-result["ci_high"], -result["ci_low"], result["p_value"])
    return {**result, "verdict": verdict}


def scores(results: dict[str, Row]) -> Row:
    """The numbers that a table of experiments compares; the held-out set's have bare names."""
    found = {}
    for name, result in results.items():
        keys = ("before", "after", "diff", "ci_low", "ci_high", "verdict", "n", "few", "samples")
        flat = {key: result[key] for key in keys}
        for arm in ARMS:
            flat[f"written_{arm}"] = (result["written"] or result)[arm]
            flat[f"asked_{arm}"] = result["asked_share"][arm]
        if beside := result["baselines"]:
            flat["best_baseline"] = beside[beside["best"]]["rate"]
        found |= flat if name == "heldout" else {f"{name}.{key}": flat[key] for key in BESIDE if key in flat}
    return found


def rounded(value: Any) -> Any:
    """The value with floats of six significant digits: a diff then shows results alone."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
