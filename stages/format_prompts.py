"""Turn rows into prompts and completions, as text to read and as the token ids that every later stage uses.

usage: python -m stages.format_prompts
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from stages.data import data_errors, prompts
from stages.files import records
from stages.model import architecture, base_model, plain_english
from stages.params.schema import Params
from stages.runtime import stage

RAW_TRAIN = Path("data/raw/train.jsonl")
RAW_HELDOUT = Path("data/raw/heldout.jsonl")
RAW_EVALUATION = Path("data/raw/evaluation.jsonl")
TRAIN = Path("data/prompts/train.jsonl")
HELDOUT = Path("data/prompts/heldout.jsonl")
EVALUATION = Path("data/prompts/evaluation.jsonl")
SUMMARY = Path("data/prompts/summary.json")
BATCH = 1000


def main(params: Params) -> str:
    """Write data/prompts and the token statistics; returns the summary."""
    architecture.check(params)  # before a model is downloaded
    tokenizer = base_model.tokenizer(params.model)
    words = plain_english.tokens_per_word(tokenizer)
    formatter = prompts.Formatter(tokenizer, params.prompt)
    lengths: list[int] = []
    counts: Counter[str] = Counter()
    example = {}

    def train_rows() -> Iterator[records.Row]:
        total = records.count(RAW_TRAIN)
        raw = tqdm(records.read(RAW_TRAIN), total=total, desc="train prompts", unit="row", mininterval=1)
        for batch in records.batches(raw, BATCH):
            for row in formatter.examples(batch):
                if "completion_ids" not in row:
                    counts["tagged"] += 1
                    continue
                row, outcome = prompts.fit(row, params.prompt)
                counts[outcome] += 1
                if outcome == "dropped":
                    continue
                lengths.append(len(row["prompt_ids"]) + len(row["completion_ids"]))
                example.setdefault("prompt", row["prompt"])
                example.setdefault("completion", row["completion"])
                yield row
        if not lengths:
            raise data_errors.NO_ROW_FITS(max_length=params.prompt.max_length)

    def asked_rows(rows: Iterable[records.Row]) -> Iterator[records.Row]:
        for batch in records.batches(rows, BATCH):
            yield from formatter.examples(batch)

    records.write(TRAIN, train_rows())
    asked = records.write(HELDOUT, asked_rows(records.read(RAW_HELDOUT)))
    asked += records.write(EVALUATION, asked_rows(records.read(RAW_EVALUATION)))
    tokens = {"mean": round(statistics.fmean(lengths), 1), **quantiles(sorted(lengths)), "total": sum(lengths)}
    summary = {
        "asked": asked,
        "example": example,
        "overlong": {"dropped": counts["dropped"], "truncated": counts["truncated"]},
        "tagged": counts["tagged"],
        "thinking_opened": formatter.thinking_opened,
        "tokens": tokens,
        "tokens_per_word": words,
        "train": len(lengths),
    }
    records.write_json(SUMMARY, summary)
    return data_errors.FORMATTED.format(**summary)


def quantiles(lengths: list[int]) -> dict[str, int]:
    """The smallest, median, 95th percentile and largest of sorted lengths."""
    last = len(lengths) - 1
    return {
        name: lengths[round(share * last)] for name, share in (("min", 0), ("median", 0.5), ("p95", 0.95), ("max", 1))
    }


if __name__ == "__main__":
    stage.run("format_prompts", main)
