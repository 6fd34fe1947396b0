"""Grade one answer: right or not, what it states, and why it is wrong where it is.

An answer is what follows the last closing tag of the thinking, up to a next question that the model asks itself. Where
the thinking opens and never closes, where a text is cut off before a thinking closes, where nothing follows, or where
no answer is stated, it is wrong, and counted as such by its reason. The limit on tokens falls on both arms alike: a cut
text without tags counts as cut off too, unless a whole line `Answer: ...` was reached. `extracted` is None exactly
where nothing is stated, so that the share of answers that state anything (form) can be told from the share of those
that are right (knowledge).

The rule, for every kind and language, in a page: a last line `Answer: ...` counts before all else. Else the last
statement with the most weight counts, and a self-correction (`wait`, `correction`) takes back what stands before it.
What is asked, supposed, rejected, or given as a general remark states nothing; two answers at once state none. What
counts as a statement, graders/choice.py, number.py and open_ended.py say, for letters and options' texts, numbers, and
short answers; the words that they listen for are in graders/vocabulary.toml.
"""

import re
from dataclasses import dataclass
from typing import Any

from stages.evaluate.graders import choice, number, numerals, open_ended
from stages.evaluate.graders.overlap import rouge_l
from stages.evaluate.graders.plain_text import own_part, plain
from stages.evaluate.thinking import TAGS, Tags, split
from stages.files.errors import UserError

LAST_LINE = re.compile(r".*^[ \t*_#>]{0,9}answer[ \t*_]{0,4}:[^\n\w]*+\w[^\n]*+\n", re.I | re.M | re.S)
SHOWN = 80  # characters of an open answer that its grade shows
Record = dict[str, Any]


@dataclass(frozen=True)
class Grade:
    """The grade of one answer."""

    correct: bool
    rule: str  # choice, number, match or overlap; the last two are weak, and labelled so wherever they show
    extracted: str | None = None  # a letter, a number, or the start of an open answer
    reason: str | None = None  # why it is wrong: empty, cut off, thinking never closes, no answer stated, wrong
    overlap: float | None = None  # ROUGE-L F1 with the response, of open questions only


def grade(
    record: Record,
    text: str,
    *,
    relative_tolerance: float,
    overlap_threshold: float,
    finish_reason: str | None = None,
    tags: Tags = TAGS,
) -> Grade:
    """Grade an answer to a record by the rule of its kind; `tags` are those of its thinking."""
    rule = record["kind"] if record["kind"] != "open" else "match" if record.get("answer") else "overlap"
    state, _, rest = split(text, tags)
    if finish_reason == "length" and state != "closed" and own_part(text) == text:
        line = LAST_LINE.match(rest or "")
        if not line:
            return Grade(False, rule, reason="cut off")
        rest = line[0]
    if rest is None:
        return Grade(False, rule, reason="thinking never closes")
    rest = own_part(rest)
    stripped, question = plain(rest), record.get("question") or ""
    if not stripped:
        return Grade(False, rule, reason="empty")
    match rule:
        case "choice":
            letter = choice.stated(stripped, record["options"], question)
            return _verdict(rule, letter, letter == record["answer"])
        case "number":
            result = number.stated(stripped, question)
            shown = None if result is None else f"{result.value:.15g}"
            same = result is not None and numerals.same(result, truth(record), question, relative_tolerance)
            return _verdict(rule, shown, same)
    stated = None if open_ended.refuses(stripped) else " ".join(rest.split())[:SHOWN]
    overlap = rouge_l(rest, record["response"]) if record.get("response") else None
    if rule == "match":
        correct = open_ended.matches(stripped, record["answer"], question, relative_tolerance)
    else:
        correct = (overlap or 0.0) >= overlap_threshold
    return _verdict(rule, stated, correct, overlap)


def truth(record: Record) -> numerals.Reading:
    """The number that is the key of a record. Raises UserError where it is none."""
    found = numerals.truth(numerals.spelled(plain(str(record["answer"]))))
    if found is None:
        raise UserError(f"{record.get('id')}: the answer {record['answer']!r} is no number")
    return found


def _verdict(rule: str, stated: str | None, correct: bool, overlap: float | None = None) -> Grade:
    if stated is None:
        return Grade(False, rule, reason="no answer stated", overlap=overlap)
    return Grade(correct, rule, stated, None if correct else "wrong", overlap)
