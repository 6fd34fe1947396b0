"""Answer the evaluation prompts with the base model.

usage: python -m stages.baseline_infer
"""

from pathlib import Path

from stages.files import records
from stages.generate import answers, base_check, generation_errors
from stages.params.schema import Params
from stages.runtime import journal, stage

PROMPTS = (Path("data/prompts/heldout.jsonl"), Path("data/prompts/evaluation.jsonl"))
ANSWERS = Path("data/answers/baseline.jsonl")


def main(params: Params) -> str:
    """Write the answers of the base model; returns the summary."""
    rows = [row for path in PROMPTS for row in records.read(path)]
    model = answers.load_model(params)
    print(generation_errors.BASE_CHECK.format(bits=base_check.bits_per_byte(model)), flush=True)
    with journal.opened("baseline_infer", answers.settings(params), []) as kept:
        written = answers.answer(model, rows, params, kept)
    records.write(ANSWERS, written)
    return answers.summary(written)


if __name__ == "__main__":
    stage.run("baseline_infer", main)
