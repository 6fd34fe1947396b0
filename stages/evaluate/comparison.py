"""Both arms compared: every question graded before and after, each set summarised."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages.evaluate import statistics
from stages.evaluate.form import form
from stages.evaluate.grade import grade
from stages.files import records
from stages.files.errors import UserError
from stages.files.records import Row
from stages.params.schema import Grading

ARMS = ("before", "after")
SCORES = ("before", "after", "diff", "ci_low", "ci_high", "verdict")


def graded(raw: Iterable[Path], arms: dict[str, Path], grading: Grading) -> list[Row]:
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
        | {arm: _graded(questions[one["set"], one["id"]], one, grading) for arm, one in zip(ARMS, pair, strict=True)}
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
    """The free questions with both answers, in the order of params."""
    answers = [[row for row in records.read(path) if row["set"] == "free"] for path in arms.values()]
    return [
        {"question": question} | dict(zip(ARMS, pair, strict=True))
        for question, *pair in zip(questions, *answers, strict=True)
    ]


def _graded(record: Row, answer: Row, grading: Grading) -> Row:
    found = grade(record, answer["text"], finish_reason=answer["finish_reason"], **grading.model_dump(exclude={"seed"}))
    return {**answer, **asdict(found), **form(answer["text"])}


def summarise(rows: list[Row], seed: int) -> dict[str, Row]:
    """Each set's n, rates, paired difference with 95 % interval, corrected p and verdict."""
    sets = {name: [row for row in rows if row["set"] == name] for name in dict.fromkeys(row["set"] for row in rows)}
    results = {name: _summary(chosen, seed) for name, chosen in sets.items()}
    corrected = statistics.holm({name: result["p_value"] for name, result in results.items()})
    for name, result in results.items():
        result["p_corrected"] = corrected[name]
        result["verdict"] = statistics.verdict(result["ci_low"], result["ci_high"], corrected[name])
        correct = [[row[arm]["correct"] for row in sets[name]] for arm in ARMS]
        result["reference_loss"] = reference_loss(sets[name], seed)
        result["smallest_difference"] = statistics.smallest_difference(*correct, comparisons=len(results))
    return results


def reference_loss(rows: list[Row], seed: int) -> Row | None:
    """The paired difference in loss on the reference answers, in nats a token; lower is better.

    None where the set has no reference answers. The verdict is on its own p: it is a second view of the same set.
    """
    losses = [[row[arm].get("reference_loss") for row in rows] for arm in ARMS]
    if None in losses[0] or None in losses[1]:
        return None
    result: Row = asdict(statistics.paired(*losses, seed=seed))
    verdict = statistics.verdict(-result["ci_high"], -result["ci_low"], result["p_value"])
    return {**result, "verdict": verdict}


def _summary(rows: list[Row], seed: int) -> Row:
    correct = {arm: [row[arm]["correct"] for row in rows] for arm in ARMS}
    summary: Row = asdict(statistics.paired(correct["before"], correct["after"], seed=seed))
    for arm in ARMS:
        low, high = statistics.wilson(sum(correct[arm]), len(rows))
        summary |= {f"{arm}_low": low, f"{arm}_high": high, f"{arm}_form": _form(rows, arm)}
    summary |= _parts(summary["before_form"], summary["after_form"])
    summary["kind"] = rows[0]["record"]["kind"]
    summary["weak"] = summary["kind"] == "open"
    summary["fixed"] = sum(not before and after for before, after in zip(*correct.values(), strict=True))
    summary["broken"] = sum(before and not after for before, after in zip(*correct.values(), strict=True))
    return summary


def _parts(before: Row, after: Row) -> dict[str, float]:
    """The difference in two parts: form (stating an answer) and knowledge (right when stated).

    right = stated x right when stated, so the change of a product is split by its mean factors; the two parts add up to
    the difference (Kitagawa 1955, Journal of the American Statistical Association 50:1168-1194). An arm that states
    nothing has no accuracy of its own: the other's is taken, and all of the difference is form.
    """
    accuracies = [arm["correct_when_stated"] for arm in (before, after)]
    known = [accuracy for accuracy in accuracies if accuracy is not None] or [0.0]
    one, other = (known[0] if accuracy is None else accuracy for accuracy in accuracies)
    form = (after["stated"] - before["stated"]) * (one + other) / 2
    return {"diff_form": form, "diff_knowledge": (other - one) * (before["stated"] + after["stated"]) / 2}


def _form(rows: list[Row], arm: str) -> dict[str, Any]:
    """How the answers of one arm are written, and why the wrong ones are wrong."""
    answers = [row[arm] for row in rows]
    stated = [answer for answer in answers if answer["extracted"] is not None]
    share = len(answers)
    return {
        "stated": len(stated) / share,
        "correct_when_stated": sum(answer["correct"] for answer in stated) / len(stated) if stated else None,
        "thinking_closed": sum(answer["thinking"] == "closed" for answer in answers) / share,
        "finish_reason_length": sum(answer["finish_reason"] == "length" for answer in answers) / share,
        "empty": sum(answer["empty"] for answer in answers) / share,
        "looping": sum(answer["looping"] for answer in answers) / share,
        "tokens": sum(answer["tokens"] for answer in answers) / share,
        "reasons": dict(sorted(Counter(answer["reason"] for answer in answers if answer["reason"]).items())),
    }


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
