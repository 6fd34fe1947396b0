"""Answer the same evaluation prompts with the fine-tuned adapter: the same call as baseline_infer, but for the adapter.

usage: python -m stages.post_infer
"""

from pathlib import Path

from stages.generate import answers
from stages.params.schema import Params
from stages.runtime import stage

ADAPTER = Path("models/adapter")
ANSWERS = Path("data/answers/post.jsonl")


def main(params: Params) -> str:
    """Write the answers of the fine-tuned model; returns the summary."""
    return answers.answer(params, ANSWERS, adapter=ADAPTER, scale=params.adapter.scale)


if __name__ == "__main__":
    stage.run("post_infer", main)
