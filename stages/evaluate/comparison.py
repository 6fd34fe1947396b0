"""Both arms compared: every question graded before and after, each set summarised."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from stages.evaluate import statistics
from stages.evaluate.form import form, form_of
from stages.evaluate.grade import grade
from stages.evaluate.groups import Groups, effective
from stages.evaluate.power import smallest_difference
from stages.evaluate.thinking import TAGS, Tags
from stages.files import records
from stages.files.errors import UserError
from stages.files.records import Row
from stages.params.schema import Grading

ARMS = ("before", "after")
SCORES = ("before", "after", "diff", "ci_low", "ci_high", "verdict", "n", "few")
FEW = 30  # questions or groups; a verdict on fewer is said to be one on few
LEAST = 20  # questions that both arms state, from which knowledge is compared


def graded(raw: Iterable[Path], arms: dict[str, Path], grading: Grading, tags: Tags = TAGS) -> list[Row]:
    """A row a question: its record, and by arm the answer with its grade and its form.

    Raises UserError where the two files do not answer the same questions in the same order, or a loss is not finite.
    """
    questions = {(row["set"], row["id"]): row for path in raw for row in records.read(path)}
    answers = {arm: list(records.read(path)) for arm, path in arms.items()}
    _check_losses(answers, arms)
    asked = [[(row["set"], row["id"]) for row in rows] for rows in answers.values()]
    if asked[0] != asked[1]:
        raise UserError(f"{' and '.join(map(str, arms.values()))} answer different questions: run `dvc repro`")
    return [
        {"record": questions[pair[0]["set"], pair[0]["id"]], "set": pair[0]["set"]}
        | {
            arm: _graded(questions[one["set"], one["id"]], one, grading, tags)
            for arm, one in zip(ARMS, pair, strict=True)
        }
        for pair in zip(*answers.values(), strict=True)
        if pair[0]["set"] != "free"
    ]


def _check_losses(answers: dict[str, list[Row]], arms: dict[str, Path]) -> None:
    """Raise UserError for the first reference loss that is not finite: the model is broken."""
    remedies = {"before": "set model.dtype to float32 or bfloat16", "after": "lower training.learning_rate"}
    for arm, rows in answers.items():
        for row in rows:
            loss = row.get("reference_loss")
            if loss is not None and not math.isfinite(loss):
                raise UserError(
                    f"{arms[arm]}: question {row['id']}: reference_loss is {loss}: the model computes no numbers: "
                    f"{remedies[arm]}, then `dvc repro`"
                )


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


def _graded(record: Row, answer: Row, grading: Grading, tags: Tags) -> Row:
    how = grading.model_dump(exclude={"seed"})
    found = grade(record, answer["text"], finish_reason=answer["finish_reason"], tags=tags, **how)
    return {**answer, **asdict(found), **form(answer["text"], tags)}


def summarise(rows: list[Row], grading: Grading) -> dict[str, Row]:
    """Each set's n, rates, paired difference with 95 % interval, corrected p and verdict."""
    sets = {name: [row for row in rows if row["set"] == name] for name in dict.fromkeys(row["set"] for row in rows)}
    results = {name: _summary(chosen, grading) for name, chosen in sets.items()}
    corrected = statistics.holm({name: result["p_value"] for name, result in results.items()})
    parts = {name: result["split"]["knowledge"] for name, result in results.items()}
    parts = statistics.holm({name: found["p_value"] if found else 1.0 for name, found in parts.items()})
    for name, result in results.items():
        result["p_corrected"] = corrected[name]
        if knowledge := result["split"]["knowledge"]:
            knowledge["p_corrected"] = parts[name]
            if parts[name] > statistics.ALPHA:
                knowledge["verdict"] = "no difference shown"
        result["verdict"] = statistics.verdict(result["ci_low"], result["ci_high"], corrected[name])
        correct = [[row[arm]["correct"] for row in sets[name]] for arm in ARMS]
        result["reference_loss"] = reference_loss(sets[name], grading.seed)
        result["smallest_difference"] = smallest_difference(
            *correct, comparisons=len(results), groups=_groups(sets[name])
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
    result: Row = asdict(statistics.paired(*losses, seed=seed, groups=_groups(rows)))
    verdict = statistics.verdict(-result["ci_high"], -result["ci_low"], result["p_value"])
    return {**result, "verdict": verdict}


def _summary(rows: list[Row], grading: Grading) -> Row:
    summary, groups = _compared(rows, grading.seed), _groups(rows)
    for arm in ARMS:
        correct = np.array([row[arm]["correct"] for row in rows], dtype=float)
        share, alpha = effective(correct, groups, statistics.ALPHA)
        low, high = statistics.wilson(correct.sum() * share, len(rows) * share, alpha)
        summary |= {f"{arm}_low": low, f"{arm}_high": high, f"{arm}_form": form_of([row[arm] for row in rows])}
    summary["split"] = _split(rows, grading.seed)
    summary["kind"] = rows[0]["record"]["kind"]
    summary["weak"] = summary["kind"] == "open"
    summary["rule"] = rows[0]["before"]["rule"]
    bounds = {"number": grading.relative_tolerance, "overlap": grading.overlap_threshold}
    summary["threshold"] = bounds.get(summary["rule"])
    summary["groups"] = groups and len(set(groups))
    summary["few"] = (summary["groups"] or len(rows)) < FEW
    return summary


def _compared(rows: list[Row], seed: int) -> Row:
    """The paired difference in right answers, with its counts."""
    correct = [[row[arm]["correct"] for row in rows] for arm in ARMS]
    found = asdict(statistics.paired(*correct, seed=seed, groups=_groups(rows)))
    flips = Counter(zip(*correct, strict=True))
    return found | {"fixed": flips[False, True], "broken": flips[True, False]}


def _groups(rows: list[Row]) -> Groups:
    """The group of each question, or None where the set has no groups."""
    groups = [row["record"].get("group") for row in rows]
    return None if None in groups else groups


def _split(rows: list[Row], seed: int) -> Row:
    """The difference in two parts: questions that both arms state (knowledge), and all others (form).

    The first are compared as the whole set is, where they are at least `LEAST`. That a model leaves out what it would
    get wrong is no knowledge: a gain must also show on all questions that `before` states, a loss on all that `after`
    states, where an answer that the other leaves out counts as wrong. Otherwise the verdict is `only where both state`.
    """
    stated = {arm: [row for row in rows if _states(row[arm])] for arm in ARMS}
    both = [row for row in stated["before"] if _states(row["after"])]
    other = {arm: sum(row[arm]["correct"] for row in rows) - sum(row[arm]["correct"] for row in both) for arm in ARMS}
    split: Row = {"both": len(both), "form": {"n": len(rows) - len(both), **other}, "knowledge": None}
    if len(both) >= LEAST:
        split["knowledge"] = knowledge = _compared(both, seed)
        knowledge["verdict"] = _verdict(knowledge)
        arm = {"better": "before", "worse": "after"}.get(knowledge["verdict"])
        if arm and _verdict(_compared(stated[arm], seed)) != knowledge["verdict"]:
            knowledge["verdict"] = "only where both state"
    return split


def _states(answer: Row) -> bool:
    """Whether an answer states a result for good: what a cut answer says last may be a guess on the way."""
    return answer["extracted"] is not None and answer["finish_reason"] != "length"


def _verdict(found: Row) -> str:
    return statistics.verdict(found["ci_low"], found["ci_high"], found["p_value"])


def scores(results: dict[str, Row]) -> Row:
    """The numbers that a table of experiments compares; the held-out set's have bare names."""
    return {
        key if name == "heldout" else f"{name}.{key}": result[key]
        for name, result in results.items()
        for key in (SCORES if name == "heldout" else ("after", "diff", "verdict"))
    }


def rounded(value: Any) -> Any:
    """The value with floats of six significant digits: a diff then shows results alone."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value
