"""Fetch rows, drop what cannot be used, hold evaluation rows out.

usage: python -m stages.fetch_dataset
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.data import control, data_errors, dataset, evaluation_sets
from stages.files import records
from stages.files.errors import path_in_errors
from stages.params.schema import Params
from stages.runtime import stage

TRAIN = Path("data/raw/train.jsonl")
HELDOUT = Path("data/raw/heldout.jsonl")
EVALUATION = Path("data/raw/evaluation.jsonl")
SUMMARY = Path("data/raw/summary.json")


def main(params: Params) -> str:
    """Write the rows to learn from and those to be asked; returns the summary."""
    # All sources first: a file or a score that is not there is told before anything is read or fetched.
    cleaners = {one.name: dataset.Cleaner() for one in params.evaluation_sets}
    share = params.evaluation.test_share
    sets = {one.name: evaluation_sets.rows(one, share, cleaners[one.name]) for one in params.evaluation_sets}
    cleaner = dataset.Cleaner()
    split = dataset.split(params.dataset, share, cleaner)

    asked: list[records.Row] = []
    dropped: dict[str, dict[str, int]] = {}
    for name, rows in sets.items():
        asked += tqdm(rows, desc=name, unit="row", mininterval=1)
        cleaners[name].check(f"evaluation set {name}", params.dataset.max_dropped_share)
        dropped[name] = dict(cleaners[name].dropped)

    heldout: list[records.Row] = []
    total = params.dataset.train_rows + len(dataset.SPLITS) * params.dataset.eval_rows

    def candidates() -> Iterator[records.Row]:
        for row in tqdm(split, total=total, desc="rows", unit="row", mininterval=1):
            if row["set"] == "heldout":
                heldout.append(row)
            else:
                yield row
        cleaner.check(f"dataset {params.dataset.source}", params.dataset.max_dropped_share)
        for name in dataset.SPLITS:
            if not any(row["split"] == name for row in heldout):
                raise data_errors.NO_HELD_OUT_ROW(split=name)

    from stages.data.leaks import Leaks

    # Twice through the training rows: whether one leaks is known only when every evaluation row is.
    # What is not checked yet lies in a file without a name, which is gone with the process, however that ends.
    with path_in_errors(Path(tempfile.gettempdir())), tempfile.TemporaryFile("w+", encoding="utf-8") as unchecked:
        count = records.write_lines(unchecked, candidates())
        unchecked.seek(0)
        leaked: Counter[tuple[str, str]] = Counter()
        train = without_leaks(map(json.loads, unchecked), count, Leaks([*heldout, *asked]), leaked)
        if params.dataset.swap_completions:
            train = swapped(train, cleaner)
        train_count = records.write(TRAIN, train)
    records.write(HELDOUT, heldout)
    # Training reads nothing of this file: no question that is only asked makes it run again.
    free = [{"id": records.fingerprint(text), "set": "free", "question": text} for text in params.free_questions]
    records.write(EVALUATION, [*asked, *free])
    dropped = {"dataset": dict(cleaner.dropped), **dropped}
    leaks: dict[str, dict[str, int]] = {name: {} for name in sorted({"heldout", *sets})}
    for (name, reason), number in leaked.items():
        leaks[name][reason] = number

    counts = Counter((row["set"], row["split"]) for row in [*heldout, *asked])
    kept = {name: {split: counts[name, split] for split in dataset.SPLITS} for name in ("heldout", *sets)}
    kept["train"] = train_count
    unused = {"dataset": cleaner.unused, **{name: cleaners[name].unused for name in sets}}
    summary = {"source": params.dataset.source, "kept": kept, "dropped": dropped, "leaks": leaks, "unused": unused}
    summary["swapped"] = train_count if params.dataset.swap_completions else 0
    records.write_json(SUMMARY, summary)
    lost, spare = sum(sum(reasons.values()) for reasons in dropped.values()), sum(unused.values())
    said = f"train {train_count}{' with swapped completions' if summary['swapped'] else ''}"
    of_splits = (f"{name} {' + '.join(map(str, kept[name].values()))}" for name in ("heldout", *sets))
    said += f"; {' + '.join(dataset.SPLITS)}: {', '.join(of_splits)}"
    said += f"; dropped {lost}, and {leaked.total()} training rows that overlap an evaluation row"
    return said + (f"; {spare} good rows beyond train_rows, eval_rows and rows are used nowhere" if spare else "")


def swapped(rows: Iterator[records.Row], cleaner: dataset.Cleaner) -> list[records.Row]:
    """The rows with their completions swapped; those without another of their topic are counted as dropped.

    Raises UserError where none is left.
    """
    rows = list(rows)
    found = control.swapped(rows)
    if not found:
        raise data_errors.NO_OTHER_ROW()
    for _ in range(len(rows) - len(found)):
        cleaner.drop("no other row of its topic")
    return found


def without_leaks(
    rows: Iterator[records.Row], count: int, leaks: Any, leaked: Counter[tuple[str, str]]
) -> Iterator[records.Row]:
    """Rows that overlap no evaluation row; the others are counted in `leaked` by set and reason.

    Raises UserError where none is left.
    """
    kept = 0
    for row in tqdm(rows, total=count, desc="leaks", unit="row", mininterval=1):
        if found := leaks.reason(row["question"], row["reasoning"], row["response"]):
            leaked[found] += 1
        else:
            kept += 1
            yield row
    if not kept:
        raise data_errors.NO_TRAIN_ROW(count=count, leaked=leaked.total())


if __name__ == "__main__":
    stage.run("fetch_dataset", main)
