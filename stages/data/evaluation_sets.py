"""Further evaluation sets: choice, number and open questions from the Hub, from files or from a package."""

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from heapq import heappush, heappushpop
from itertools import chain
from string import ascii_uppercase
from typing import Any

from stages.data import data_errors
from stages.data.dataset import SPLITS, Cleaner, flaw, hash_of, split_of
from stages.data.sources import hub_dataset, local_files, package_files
from stages.files import records
from stages.files.records import Row
from stages.params.data_schema import AnyEvaluationSet, EvaluationSet

NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d{1,3})?", re.IGNORECASE)
INDEX_RULES = ("index_from_0", "index_from_1")
INDEX = re.compile(r"(\d{1,2})(?:\.0)?")
LETTERED = re.compile(r"\(?([A-Z])[.):]\s*+(\S.*)")  # of a stripped line


def rows(one: AnyEvaluationSet, test_share: float, cleaner: Cleaner) -> Iterator[Row]:
    """Records of an evaluation set, at most `rows` in each split.

    Rows that cannot be asked or graded are dropped and counted. The Hub is read no further than needed, as in
    `dataset.split`. Files are read to their end, and of more rows those with the smallest hashes are taken: a fixed
    sample, whatever the order. Raises UserError, at once, where a file is missing; at the end, where the indices are
    those of the other rule.
    """
    columns = {ours: theirs for ours, theirs in one.columns if theirs}
    match one.source:
        case "hub":
            raw = hub_dataset.rows(one.hub)
        case "files":
            raw = local_files.rows(one.data_files, list(columns.values()))
        case "package":
            raw = package_files.rows(one.package, list(columns.values()))
    return _rows(raw, one, test_share, columns, cleaner)


def _rows(
    raw: Iterator[Row], one: AnyEvaluationSet, test_share: float, columns: dict[str, str], cleaner: Cleaner
) -> Iterator[Row]:
    texts = {ours: theirs for ours, theirs in columns.items() if ours != "options"}
    taken: dict[str, list[tuple[int, int, Row]]] = {split: [] for split in SPLITS}  # heaps, the largest hash first
    rules: set[str] = set()
    for number, row in enumerate(raw):
        if one.source == "hub" and all(len(heap) == one.rows for heap in taken.values()):
            break
        options = one.options or row.get(columns.get("options"))
        record = cleaner.clean(row, texts, lambda record, options=options: _finish(record, one, options, rules))
        if record is None:
            continue
        key = record.get("group", record["question"])
        split = split_of(key, test_share)
        record = {"id": records.fingerprint(record), "kind": one.kind, "set": one.name, "split": split, **record}
        entry = (-hash_of(key), -number, record)
        if len(taken[split]) < one.rows:
            heappush(taken[split], entry)
        elif one.source != "hub":
            heappushpop(taken[split], entry)
            cleaner.unused += 1

    if rules and one.answer_key in INDEX_RULES and one.answer_key not in rules:
        raise data_errors.OTHER_INDEX(name=one.name, given=one.answer_key, other=rules.pop())
    yield from (row for *_, row in sorted(chain(*taken.values()), key=lambda entry: -entry[1]))


def _finish(record: Row, one: EvaluationSet, options: Any, rules: set[str]) -> str | None:
    """Complete a record by its set's kind; returns the reason to drop it, or None.

    Where a single rule of indices reads its answer, as 0 and the number of options, that rule is added to `rules`.
    """
    if context := record.pop("context", None):
        record["question"] = f"{context}\n\n{record['question']}"
    match one.kind:
        case "choice":
            return _choice(record, options, one.answer_key, rules)
        case "number":
            if not NUMBER.fullmatch(record["answer"]) or not math.isfinite(float(record["answer"].replace(",", ""))):
                return "answer is no number"
            if "e" in record["answer"].lower():  # graders read no such powers of ten
                record["answer"] = f"{Decimal(record['answer'].replace(',', '')):f}"
    return None


def _choice(record: Row, value: Any, answer_key: str, rules: set[str]) -> str | None:
    if value is None or value != value:  # NaN: how tables of numbers say that there is none
        return "no options"
    options = options_of(value)
    if not options:
        return "unreadable options"
    if found := next(filter(None, map(flaw, options.values())), None):
        return f"{found} options"
    if len({text.casefold() for text in options.values()}) < len(options):
        return "options of the same text"
    read_by = [rule for rule in INDEX_RULES if letter_of(record["answer"], options, rule)]
    rules.update(read_by if len(read_by) == 1 else [])
    record["options"], answer = options, letter_of(record["answer"], options, answer_key)
    if answer is None:
        return f"answer is no option by {answer_key}"
    record["answer"] = answer
    return None


def options_of(value: Any) -> dict[str, str]:
    """Options as a mapping of letters to texts, from a mapping, a list, or lines `A. text`; so may a list's texts be.

    Empty where `value` is none of them, or has fewer than two options or more than there are letters. An option is one
    line, or it could add a line `C. text` to the options that are asked.
    """
    if isinstance(value, dict):
        pairs = [(str(letter).strip().upper(), text) for letter, text in value.items() if text is not None]
    elif isinstance(value, list) and len(value) <= len(ascii_uppercase):
        pairs = list(zip(ascii_uppercase, value, strict=False))
        matches = [LETTERED.fullmatch(text.strip()) if isinstance(text, str) else None for text in value]
        if sorted(match[1] for match in matches if match) == [*ascii_uppercase[: len(value)]]:  # not `E. coli`
            pairs = [match.groups() for match in matches if match]
    elif isinstance(value, str):
        matches = [LETTERED.fullmatch(line.strip()) for line in value.splitlines() if re.search(r"\w", line)]
        pairs = [match.groups() for match in matches if match]
        if len(pairs) != len(matches):
            return {}
    else:
        return {}
    options = {letter: " ".join(text.split()) for letter, text in pairs if isinstance(text, str) and text.strip()}
    complete = len(options) == len(pairs) > 1 and options.keys() <= set(ascii_uppercase)
    return options if complete else {}


def letter_of(answer: str, options: dict[str, str], answer_key: str) -> str | None:
    """The letter of the option that an answer names by its letter, index or text, or None.

    A letter may be marked (`(c)`, `C.`), and followed by the option's text, which must then be the right one.
    """
    if answer_key == "text":
        letters = [letter for letter, text in options.items() if text.casefold() == answer.casefold()]
        return letters[0] if len(letters) == 1 else None
    if answer_key == "letter":
        match = LETTERED.fullmatch(answer)
        if match and options.get(match[1], "").casefold() == match[2].casefold():
            return match[1]
        letter = answer.strip("().: ").upper()
        return letter if letter in options else None
    match = INDEX.fullmatch(answer)
    index = int(match[1]) - int(answer_key[-1]) if match else -1
    return sorted(options)[index] if 0 <= index < len(options) else None
