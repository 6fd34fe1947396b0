"""One question as the page shows it: its text, its right answer, and both models' answers."""

from typing import Any

from stages.evaluate.comparison import ARMS
from stages.evaluate.thinking import Tags, split
from stages.files.records import Row
from stages.report import display
from stages.report.context import OUTCOMES, outcome

SHOWN = 20_000  # characters of an answer; the page as a whole is bounded too
WHOLE = 24_000_000  # characters of all answers
LONG, LINES = 900, 14  # characters and lines from which an answer scrolls in its own box


def limit(rows: list[Row]) -> int:
    """How many characters of each answer are shown, so that a page of long answers still opens."""
    return max(1_000, min(SHOWN, WHOLE // max(1, 2 * len(rows))))


def question(row: Row, number: int, shown: int, tags: Tags) -> dict[str, Any]:
    """A graded row for the page."""
    record = row["record"]
    open_ended = record["kind"] == "open"
    arms = _arms(row, shown, tags)
    for arm in arms:
        arm["stated"] = None if open_ended else _stated(arm["extracted"], record.get("options"))
        arm["marks"] = [mark for mark in ("empty", "looping") if arm[mark] and mark != arm["reason"]]
    return {
        "number": number,
        "id": record["id"],
        "set": row["set"],
        "outcome": outcome(row),
        "outcome_label": OUTCOMES[outcome(row)],
        "weak": open_ended,
        "cut": any(arm["finish_reason"] == "length" for arm in arms),
        "options": record.get("options") or {},
        "answer": _stated(record.get("answer"), record.get("options")),
        **{name: display.clip(str(record.get(name) or ""), shown) for name in ("question", "response", "reasoning")},
        "differs": not open_ended and row["before"]["extracted"] != row["after"]["extracted"],
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
