"""One question as the page shows it: its text, its right answer, and both models' answers."""

from typing import Any

from stages.evaluate.comparison import ARMS
from stages.evaluate.thinking import Tags, split
from stages.files.records import Row
from stages.report import display
from stages.report.context import OUTCOMES, outcome

SHOWN = 20_000  # characters of an answer; the page as a whole is bounded too
WHOLE = 24_000_000  # characters of all answers
LEAST = 1_000  # characters of an answer
LONG, LINES = 900, 14  # characters and lines from which an answer scrolls in its own box


def limit(rows: list[Row]) -> int:
    """How many characters of each answer are shown, so that a page of long answers still opens; 0 for samples too many.

    Then only the first sample of each arm is shown.
    """
    answers = sum(len(row[arm]["samples"]) for row in rows for arm in ARMS)
    if answers > 2 * len(rows) and answers * LEAST > WHOLE:
        return 0
    return max(LEAST, min(SHOWN, WHOLE // max(1, answers)))


def question(row: Row, number: int, shown: int, tags: Tags) -> dict[str, Any]:
    """A graded row for the page."""
    record = row["record"]
    open_ended, options = record["kind"] == "open", record.get("options")
    arms = _arms(row, shown or LEAST, tags)
    for arm in arms:
        samples = arm["samples"]
        arm["correct"] = samples[0]["correct"]
        arm["stated"] = None if open_ended else _stated(arm["stated"], options)
        arm["marks"] = [mark for mark in ("empty", "looping") if arm[mark] and mark != arm["reason"]]
        arm["right"] = sum(sample["correct"] for sample in samples)
        arm["others"] = [
            sample
            | {"stated": None if open_ended else _stated(sample["stated"], options)}
            | {"text": display.clip(sample["text"], shown)}
            for sample in samples[1:]
            if shown
        ]
    return {
        "number": number,
        "id": record["id"],
        "set": row["set"],
        "outcome": outcome(row),
        "outcome_label": OUTCOMES[outcome(row)],
        "weak": open_ended,
        "cut": any(sample["finish_reason"] == "length" for arm in arms for sample in arm["samples"]),
        "options": options or {},
        "answer": _stated(record.get("answer"), options),
        **{
            name: display.clip(str(record.get(name) or ""), shown or LEAST)
            for name in ("question", "response", "reasoning")
        },
        "differs": not open_ended and arms[0]["stated"] != arms[1]["stated"],
        "arms": arms,
    }


def free(row: Row, number: int, tags: Tags) -> dict[str, Any]:
    """A question without a grade for the page."""
    return {"number": number, "question": display.clip(str(row["question"]), SHOWN), "arms": _arms(row, SHOWN, tags)}


def _arms(row: Row, shown: int, tags: Tags) -> list[dict[str, Any]]:
    """Both answers, with their texts cut and marked."""
    texts = [split(row[arm]["text"], tags) for arm in ARMS]
    responses = [display.clip(one.answer or "", shown) for one in texts]
    segments = display.marked(*responses) or [[(False, text)] if text else [] for text in responses]
    return [
        row[arm]
        | {
            "name": arm,
            "thinking": display.clip(one.reasoning, shown) if one.reasoning else None,
            "words": display.words(one.reasoning or ""),
            "unclosed": one.answer is None,
            "segments": segment,
            "long": len(response) > LONG or response.count("\n") > LINES,
        }
        for arm, one, response, segment in zip(ARMS, texts, responses, segments, strict=True)
    ]


def _stated(answer: Any, options: dict[str, str] | None) -> list[str] | None:
    """A stated answer, or a letter and the text of its option: each may be written in a direction of its own."""
    if answer is None:
        return None
    option = (options or {}).get(answer)
    return [str(answer)] if option is None else [f"{answer}.", option]
