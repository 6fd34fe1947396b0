"""What needs no model: the right answers that a constant, chance and the nearest training question give.

The constant is the most frequent key of the questions themselves: no other does better on them. Chance is one of the
options; for numbers, an answer drawn from those of the training rows, or of the set where there are none. The nearest
question is that of the highest TF-IDF cosine of words (Salton and Buckley 1988, Information Processing & Management
24:513-523). Constants and neighbours are graded as a text `Answer: X`, as the models are.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from stages.evaluate.form import WORD
from stages.evaluate.grade import grade, truth
from stages.files.records import Row
from stages.params.schema import Grading

CELLS = 20_000_000  # similarities at a time


def baselines(rows: list[Row], training: Sequence[Row], grading: Grading) -> tuple[Row, list[float]] | None:
    """The rates of the baselines of one set with the name of the best, and its score by question.

    None for open questions, where no constant can be graded. `training` are the raw training rows.
    """
    asked = [row["record"] for row in rows]
    kind = asked[0]["kind"]
    if kind == "open":
        return None
    known = [row for row in training if row["kind"] == kind and row.get("answer") is not None]
    answer = most_frequent(asked)
    scores = {"most_frequent": [_right(record, answer, grading) for record in asked], "chance": chance(asked, known)}
    if known:
        found = nearest([_words(record) for record in asked], [_words(row) for row in known])
        scores["nearest"] = [
            _right(record, known[index]["answer"], grading) for record, index in zip(asked, found, strict=True)
        ]
    result: Row = {name: {"rate": sum(values) / len(values)} for name, values in scores.items()}
    best = max(result, key=lambda name: result[name]["rate"])
    result["most_frequent"]["answer"] = answer
    return {"nearest": None, **result, "best": best}, scores[best]


def most_frequent(asked: list[Row]) -> str:
    """The answer of most questions, numbers by their value; of equals the first."""
    keys = [_key(record) for record in asked]
    ((winner, _),) = Counter(keys).most_common(1)
    return str(asked[keys.index(winner)]["answer"])


def chance(asked: list[Row], known: Sequence[Row]) -> list[float]:
    """By question, how likely a guess is right."""
    if asked[0]["kind"] == "choice":
        return [1 / len(record["options"]) for record in asked]
    drawn = Counter(_key(row) for row in known or asked)
    return [drawn[_key(record)] / drawn.total() for record in asked]


def nearest(texts: list[str], references: list[str]) -> list[int]:
    """By text, the index of the reference of the highest TF-IDF cosine; of equals the first."""
    vocabulary: dict[str, int] = {}
    counts = _counts(references, vocabulary, grow=True)
    shared = np.bincount(counts.indices, minlength=len(vocabulary))
    weights = sparse.diags_array(np.log((1 + len(references)) / (1 + shared)) + 1)
    known = counts @ weights
    lengths = np.sqrt((known**2).sum(axis=1))
    known = (sparse.diags_array(1 / np.maximum(lengths, 1e-12)) @ known).T.tocsr()
    asked = _counts(texts, vocabulary, grow=False) @ weights  # its own length changes no order
    step, found = max(1, CELLS // len(references)), []
    for start in range(0, len(texts), step):
        alike = (asked[start : start + step] @ known).toarray()
        found += alike.round(9).argmax(axis=1).tolist()  # rounded: the order of a sum makes no equals differ
    return found


def _counts(texts: list[str], vocabulary: dict[str, int], *, grow: bool) -> Any:
    """Texts by words, how often each occurs; words beyond the vocabulary join it where it may grow."""
    rows, columns, values = [], [], []
    for row, text in enumerate(texts):
        for word, count in Counter(WORD.findall(text.casefold())).items():
            if grow or word in vocabulary:
                rows.append(row)
                columns.append(vocabulary.setdefault(word, len(vocabulary)))
                values.append(float(count))
    return sparse.csr_array((values, (rows, columns)), shape=(len(texts), len(vocabulary)))


def _words(record: Row) -> str:
    return " ".join([record["question"], *(record.get("options") or {}).values()])


def _key(record: Row) -> Any:
    return truth(record) if record["kind"] == "number" else record["answer"]


def _right(record: Row, answer: str, grading: Grading) -> bool:
    return grade(record, f"Answer: {answer}", **grading.model_dump(exclude={"seed"})).correct
