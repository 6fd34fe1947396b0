"""Answer the evaluation prompts with the base model.

usage: python -m stages.baseline_infer
"""

from pathlib import Path

from stages.generate import answers
from stages.params.schema import Params
from stages.runtime import stage

ANSWERS = Path("data/answers/baseline.jsonl")


def main(params: Params) -> str:
    """Write the answers of the base model; returns the summary."""
    return answers.answer(params, ANSWERS)


if __name__ == "__main__":
    stage.run("baseline_infer", main)
