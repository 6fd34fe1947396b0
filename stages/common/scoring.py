"""Grade one answer: right or not, what it states, and why it is wrong where it is.

Only what follows the last `</think>` counts. An answer whose thinking opens and never closes, that is empty, or that
states no answer is wrong, and counted as such by its reason. A text without tags is graded on what it states. `extracted`
is None exactly where nothing is stated, so that the share of answers that state anything (form) can be told from the
share of those that are right (knowledge). The rules are those of the graders, one module a kind.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stages.common.graders import choice, number
from stages.common.graders import open as open_ended
from stages.common.graders.overlap import rouge_l
from stages.common.graders.reading import after_thinking, plain

Record = dict[str, Any]


@dataclass(frozen=True)
class Grade:
    """The grade of one answer."""

    correct: bool
    extracted: str | None = None  # a letter, a number, or the start of an open answer
    reason: str | None = None  # why it is wrong: empty, thinking never closes, no answer stated, wrong
    rule: str = ""  # choice, number, match or overlap
    overlap: float | None = None  # ROUGE-L F1 with the response, open questions only

    @property
    def weak(self) -> bool:
        """Whether the rule is a weak one, to be labelled so."""
        return self.rule in ("match", "overlap")


def grade(record: Record, text: str, *, relative_tolerance: float, overlap_threshold: float) -> Grade:
    """Grade an answer to a record by the rule of its kind."""
    rule = record["kind"] if record["kind"] != "open" else "match" if record.get("answer") else "overlap"
    rest = after_thinking(text)
    if rest is None:
        return Grade(False, reason="thinking never closes", rule=rule)
    if not plain(rest):
        return Grade(False, reason="empty", rule=rule)
    return KINDS[record["kind"]](record, rest, relative_tolerance, overlap_threshold)


def _verdict(correct: bool, extracted: str | None, rule: str, overlap: float | None = None) -> Grade:
    reason = None if correct else "wrong" if extracted is not None else "no answer stated"
    return Grade(correct, extracted, reason, rule, overlap)


def _choice(record: Record, text: str, relative_tolerance: float, overlap_threshold: float) -> Grade:
    letter = choice.stated(text, record["options"])
    return _verdict(letter is not None and letter == record["answer"], letter, "choice")


def _number(record: Record, text: str, relative_tolerance: float, overlap_threshold: float) -> Grade:
    result = number.stated(text, record.get("question") or "")
    if result is None:
        return _verdict(False, None, "number")
    truth = str(record["answer"])
    exact = re.fullmatch(r"[+-]?\d+", truth) is not None
    return _verdict(number.equal(result, number.value(truth), exact, relative_tolerance), f"{result:.15g}", "number")


def _open(record: Record, text: str, relative_tolerance: float, overlap_threshold: float) -> Grade:
    shown = None if open_ended.refuses(text) else " ".join(text.split())[:80]
    overlap = rouge_l(text, record["response"]) if record.get("response") else None
    if record.get("answer"):
        correct = shown is not None and open_ended.matches(text, record["answer"], record.get("question") or "")
        return _verdict(correct, shown, "match", overlap)
    return _verdict(shown is not None and (overlap or 0.0) >= overlap_threshold, shown, "overlap", overlap)


KINDS: dict[str, Callable[[Record, str, float, float], Grade]] = {"choice": _choice, "number": _number, "open": _open}
