"""Further evaluation sets: multiple choice, number and open questions from the Hub or from files."""

import re
from collections.abc import Iterator
from string import ascii_uppercase
from typing import Any

from stages.common import records
from stages.common.dataset import Cleaner
from stages.common.params.data import FilesEvaluationSet, HubEvaluationSet
from stages.common.records import Row
from stages.common.sources import files, hub

NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d{1,3})?", re.IGNORECASE)
LETTERED = re.compile(r"^\s*\(?([A-Z])[.):]\s*(.*\S)\s*$")


def rows(one: HubEvaluationSet | FilesEvaluationSet, cleaner: Cleaner) -> Iterator[Row]:
    """Records of an evaluation set, at most `rows` of them; what cannot be asked or graded is dropped and counted."""
    columns = {ours: theirs for ours, theirs in one.columns if theirs}
    match one.source:
        case "hub":
            raw = hub.rows(one.hub)
        case "files":
            raw = files.rows(one.data_files, list(columns.values()))
    kept = 0
    for row in raw:
        if kept == one.rows:
            return
        record = _record(row, one, columns, cleaner)
        if record is not None:
            kept += 1
            yield {"id": records.fingerprint(record), "kind": one.kind, "set": one.name, **record}


def _record(
    row: Row, one: HubEvaluationSet | FilesEvaluationSet, columns: dict[str, str], cleaner: Cleaner
) -> Row | None:
    texts = {ours: theirs for ours, theirs in columns.items() if ours != "options"}
    record = cleaner.clean(row, texts)
    if record is None:
        return None
    if context := record.pop("context", None):
        record["question"] = f"{context}\n\n{record['question']}"
    if one.kind == "choice":
        options = options_of(one.options or row.get(columns["options"]))
        letter = letter_of(record["answer"], options)
        if letter is None:
            return cleaner.drop("answer is no option")
        record["answer"], record["options"] = letter, options
    if one.kind == "number" and not NUMBER.fullmatch(record["answer"]):
        return cleaner.drop("answer is no number")
    return record


def options_of(value: Any) -> dict[str, str]:
    """Options as a mapping of letters to texts, from such a mapping, a list, or one string of lines `A. text`.

    Empty where `value` is none of them, or has fewer than two options or more than there are letters.
    """
    if isinstance(value, dict):
        pairs = [(str(letter).strip().upper(), text) for letter, text in value.items() if text is not None]
    elif isinstance(value, list) and len(value) <= len(ascii_uppercase):
        pairs = list(zip(ascii_uppercase, value, strict=False))
    elif isinstance(value, str):
        matches = [LETTERED.match(line) for line in value.splitlines() if re.search(r"\w", line)]
        pairs = [match.groups() for match in matches if match]
        if len(pairs) != len(matches):
            return {}
    else:
        return {}
    options = {letter: text.strip() for letter, text in pairs if isinstance(text, str) and text.strip()}
    complete = len(options) == len(pairs) > 1 and options.keys() <= set(ascii_uppercase)
    return options if complete else {}


def letter_of(answer: str, options: dict[str, str]) -> str | None:
    """The letter that an answer (`C`, `C. text` or the text of an option) names; None where it names none."""
    if answer.upper() in options:
        return answer.upper()
    match = LETTERED.match(answer)
    if match and options.get(match[1], "").casefold() == match[2].casefold():
        return match[1]
    letters = [letter for letter, text in options.items() if text.casefold() == answer.casefold()]
    return letters[0] if len(letters) == 1 else None
