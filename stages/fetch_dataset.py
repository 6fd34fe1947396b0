"""Fetch rows, drop what cannot be used, hold evaluation rows out.

usage: python -m stages.fetch_dataset
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from stages.common import dataset, evaluation, records, stage
from stages.common.errors import UserError
from stages.common.params.schema import Params

TRAIN = Path("data/raw/train.jsonl")
EVAL = Path("data/raw/eval.jsonl")
METRICS = Path("metrics/dataset.json")


def main(params: Params) -> str:
    """Write the rows to learn from and those to be asked; returns the summary."""
    asked: list[records.Row] = []
    dropped: dict[str, dict[str, int]] = {}
    for one in params.evaluation_sets:
        cleaner = dataset.Cleaner()
        asked += tqdm(evaluation.rows(one, cleaner), desc=one.name, unit="row", mininterval=1)
        cleaner.check(f"evaluation set {one.name}", params.dataset.max_dropped_share)
        dropped[one.name] = dict(cleaner.dropped)

    cleaner = dataset.Cleaner()
    heldout: list[records.Row] = []
    total = params.dataset.train_rows + params.dataset.eval_rows

    def train_rows() -> Iterator[records.Row]:
        count = 0
        for row in tqdm(dataset.split(params.dataset, cleaner), total=total, desc="rows", unit="row", mininterval=1):
            if row["set"] == "heldout":
                heldout.append(row)
            else:
                count += 1
                yield row
        cleaner.check(f"dataset {params.dataset.source}", params.dataset.max_dropped_share)
        if not count or not heldout:
            empty = "held-out" if count else "train"
            raise UserError(f"dataset: no {empty} row: give it more rows, or change dataset.eval_share")

    train_count = records.write(TRAIN, train_rows())
    asked = heldout + asked
    records.write(EVAL, asked)
    dropped = {"dataset": dict(cleaner.dropped), **dropped}

    kept = {"train": train_count, **Counter(row["set"] for row in asked)}
    records.write_json(METRICS, {"source": params.dataset.source, "kept": kept, "dropped": dropped})
    counts = ", ".join(f"{name} {count}" for name, count in kept.items())
    return f"{counts}; dropped {sum(sum(reasons.values()) for reasons in dropped.values())}"


if __name__ == "__main__":
    stage.run("fetch_dataset", main)
