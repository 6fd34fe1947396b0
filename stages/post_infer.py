"""Answer the same evaluation prompts with the fine-tuned adapter: the same call as baseline_infer, but for the adapter.

usage: python -m stages.post_infer
"""

from pathlib import Path

from stages.files import records
from stages.generate import answers
from stages.params.schema import Params
from stages.runtime import journal, stage

PROMPTS = (Path("data/prompts/heldout.jsonl"), Path("data/prompts/evaluation.jsonl"))
ADAPTER = Path("models/adapter")
ANSWERS = Path("data/answers/post.jsonl")


def main(params: Params) -> str:
    """Write the answers of the fine-tuned model; returns the summary."""
    rows = [row for path in PROMPTS for row in records.read(path)]
    model = answers.load_model(params, adapter=ADAPTER, **params.adapter.model_dump())
    with journal.opened("post_infer", [*answers.settings(params), params.adapter], [ADAPTER]) as kept:
        written = answers.answer(model, rows, params, kept)
    records.write(ANSWERS, written)
    return answers.summary(written)


if __name__ == "__main__":
    stage.run("post_infer", main)
