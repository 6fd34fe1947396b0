"""Questions of the evaluation sets, as the pipeline asks them, with their right answers."""

from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple

from stages.data.prompts import question_text
from stages.files import records
from stages.files.records import Row
from stages.params.schema import Params
from stages.report import wording

RAW = (Path("data/raw/heldout.jsonl"), Path("data/raw/evaluation.jsonl"))
MOST = 25  # of each set


class Example(NamedTuple):
    """A question, a label to choose it by, and what is right."""

    label: str
    question: str
    answer: str


def read(params: Params) -> list[Example]:
    """Examples of the split that the evaluation asks (`evaluation.split`), the sets in turn; none before a run."""
    sets: dict[str, list[Example]] = {}
    for row in chain.from_iterable(records.read(path) for path in RAW if path.exists()):
        found = sets.setdefault(row["set"], [])
        if row.get("split", params.evaluation.split) == params.evaluation.split and len(found) < MOST:
            question = question_text(row, params.prompt.answer_line)
            label = f"{wording.label(row['set'])}: {' '.join(row['question'].split())}"
            found.append(Example(label[:110], question, _right(row)))
    return [one for ones in zip_longest(*sets.values()) for one in ones if one]


def _right(row: Row) -> str:
    """The right answer as text: an option with its letter, a number, a response; "" of a free question."""
    answer = row.get("answer") or row.get("response", "")
    return f"{answer}. {row['options'][answer]}" if "options" in row else answer
