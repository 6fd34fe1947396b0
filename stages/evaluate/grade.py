"""Grade one answer: right or not, what it states, and why it is wrong where it is.

Only what follows the last `</think>` counts. An answer whose thinking opens and never closes, that is empty, or that
states no answer is wrong, and counted as such by its reason. A text without tags is graded on what it states.
`extracted` is None exactly where nothing is stated, so that the share of answers that state anything (form) can be told
from the share of those that are right (knowledge). The rules are those of the graders, one module a kind.
"""

from dataclasses import dataclass
from typing import Any

from stages.evaluate import thinking
from stages.evaluate.graders import choice, number, numerals, open_ended
from stages.evaluate.graders.overlap import rouge_l
from stages.evaluate.graders.plain_text import plain
from stages.files.errors import UserError

SHOWN = 80  # characters of an open answer that its grade shows
Record = dict[str, Any]


@dataclass(frozen=True)
class Grade:
    """The grade of one answer."""

    correct: bool
    rule: str  # choice, number, match or overlap; the last two are weak, and labelled so wherever they show
    extracted: str | None = None  # a letter, a number, or the start of an open answer
    reason: str | None = None  # why it is wrong: empty, thinking never closes, no answer stated, wrong
    overlap: float | None = None  # ROUGE-L F1 with the response, of open questions only


def grade(record: Record, text: str, *, relative_tolerance: float, overlap_threshold: float) -> Grade:
    """Grade an answer to a record by the rule of its kind."""
    rule = record["kind"] if record["kind"] != "open" else "match" if record.get("answer") else "overlap"
    rest = thinking.split(text).answer
    if rest is None:
        return Grade(False, rule, reason="thinking never closes")
    stripped = plain(rest)
    if not stripped:
        return Grade(False, rule, reason="empty")
    match rule:
        case "choice":
            letter = choice.stated(stripped, record["options"])
            return _verdict(rule, letter, letter == record["answer"])
        case "number":
            result = number.stated(stripped, record.get("question") or "")
            shown = None if result is None else f"{result:.15g}"
            return _verdict(rule, shown, result is not None and _same(result, record, relative_tolerance))
    stated = None if open_ended.refuses(stripped) else " ".join(rest.split())[:SHOWN]
    overlap = rouge_l(rest, record["response"]) if record.get("response") else None
    if rule == "match":
        correct = open_ended.matches(stripped, record["answer"], record.get("question") or "")
    else:
        correct = (overlap or 0.0) >= overlap_threshold
    return _verdict(rule, stated, correct, overlap)


def _same(result: float, record: Record, relative_tolerance: float) -> bool:
    truth = numerals.read(plain(str(record["answer"])))
    if truth is None:
        raise UserError(f"{record.get('id')}: the answer {record['answer']!r} is no number")
    return numerals.equal(result, truth, truth.is_integer(), relative_tolerance)


def _verdict(rule: str, stated: str | None, correct: bool, overlap: float | None = None) -> Grade:
    if stated is None:
        return Grade(False, rule, reason="no answer stated", overlap=overlap)
    return Grade(correct, rule, stated, None if correct else "wrong", overlap)
