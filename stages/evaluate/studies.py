"""What several runs of one configuration have shown, and how often the test questions have been looked at.

metrics/studies.json holds the last control and the last seeds; metrics/ledger.jsonl a line for every look at the test
split. stages/experiments writes both.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stages.files import records
from stages.files.errors import UserError
from stages.files.records import Row
from stages.params.schema import Params

NAMES = ("control", "seeds")
LEDGER, STUDIES = Path("metrics/ledger.jsonl"), Path("metrics/studies.json")
EXPORT = Path("metrics/export.json")  # written by stages/export
SKETCH = 16  # ids that stand for a set of questions


def read(path: Path, params: Params, rows: list[Row], names: Iterable[str] = NAMES) -> dict[str, Row | None]:
    """The studies of this very run, by name; None for one that is missing or of another run.

    `rows` are this run's, as comparison.graded gives them. Raises UserError where the file is damaged.
    """
    found, run = load(path), key(params, rows)
    return {name: found[name] if found.get(name, {}).get("key") == run else None for name in names}


def load(path: Path) -> dict[str, Row]:
    """All studies of the file, by name. Raises UserError where it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not (isinstance(found, dict) and all(isinstance(study, dict) for study in found.values())):
            raise ValueError
    except (FileNotFoundError, ValueError, RecursionError):
        raise UserError(f"{path}: missing or damaged: `git checkout {path}`, or write {{}} into it") from None
    return found


def key(params: Params, rows: Iterable[Row]) -> str:
    """The name of one run: its params, the questions that it asked and how each was answered."""
    graded = sorted(
        [row["set"], row["record"]["id"], *(round(float(row[arm]["correct"]), 6) for arm in ("before", "after"))]
        for row in rows
    )
    return records.fingerprint([params.of_run("json"), graded])


def configuration(params: Params, learned: Iterable[str] = ()) -> str:
    """The name of all that a person may have chosen by looking: every param but the split, and the training rows."""
    values = params.of_run("json")
    del values["evaluation"]["split"]
    return records.fingerprint([values, sorted(learned)])


def look(params: Params, ids: Mapping[str, Iterable[str]], learned: Iterable[str] = ()) -> Row:
    """The ledger's line for a look at these test questions, ids by set; `learned` are the ids of training rows."""
    sets = {name: _sketch(of) for name, of in ids.items()}
    return {"configuration": configuration(params, learned), "sets": sets}


def looks(path: Path, params: Params, ids: Mapping[str, Iterable[str]], learned: Iterable[str] = ()) -> dict[str, int]:
    """In how many configurations the questions of each set have been looked at; all 1 on validation.

    Raises UserError where the ledger is damaged, or does not hold this configuration's look at the test split.
    """
    if params.evaluation.split != "test":
        return dict.fromkeys(ids, 1)
    lines, mine, counts = ledger(path), look(params, ids, learned), {}
    for name, sketch in mine["sets"].items():
        asked = {line["configuration"] for line in lines if _shared(sketch, line)}
        if mine["configuration"] not in asked:
            raise UserError(
                f"{path}: this look at the test questions of {name} is not in it: run `make verdict`, which counts "
                "it, with evaluation.split at validation"
            )
        counts[name] = len(asked)
    return counts


def ledger(path: Path) -> list[Row]:
    """The lines of the ledger. Raises UserError for the first that is damaged."""
    lines = []
    try:
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if text.strip():
                lines.append(_checked(f"{path}, line {number}", text))
    except (FileNotFoundError, UnicodeDecodeError):
        raise UserError(f"{path}: missing or damaged: `git checkout {path}` brings back its lines") from None
    return lines


def _checked(where: str, text: str) -> Row:
    try:
        line: Any = json.loads(text)
        sketches = list(line["sets"].values())
        if not isinstance(line["configuration"], str) or not all(isinstance(one, list) for one in sketches):
            raise TypeError
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise UserError(
            f"{where}: damaged: restore it from Git; where two ledgers met, keep the lines of both"
        ) from None
    return line


def _sketch(ids: Iterable[str]) -> list[str]:
    """The least ids: as hashes, two sets with many questions in common have some of these in common (Broder 1997)."""
    return sorted(set(ids))[:SKETCH]


def _shared(sketch: list[str], line: Row) -> bool:
    """Whether a look asked some of these questions, under whatever name of their set."""
    return any(set(sketch) & set(other) for other in line["sets"].values())
