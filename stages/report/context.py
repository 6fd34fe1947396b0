"""What a report is made of: plain data, as the stages wrote it."""

from dataclasses import dataclass

from stages.evaluate.comparison import ARMS
from stages.evaluate.samples import majority
from stages.evaluate.thinking import Tags
from stages.files.records import Row

OUTCOMES = {"fixed": "Fixed", "broken": "Broken", "wrong": "Still wrong", "right": "Right both times"}


@dataclass(frozen=True)
class Context:
    """Everything that a report shows."""

    results: dict[str, Row]  # by evaluation set, as comparison.summarise gives it
    rows: list[Row]  # as comparison.graded gives them
    tags: Tags  # of the thinking in both arms' answers
    free: list[Row]  # question, before and after (text, tokens, finish_reason)
    loss: list[dict[str, str]]  # the rows of models/training/loss.csv
    training: Row  # models/training/summary.json
    dataset: Row  # data/raw/summary.json
    prompts: Row  # data/prompts/summary.json
    params: Row  # params.yaml
    versions: dict[str, str]  # by package
    revisions: dict[str, str]  # of the base model, the dataset, the evaluation sets
    studies: dict[str, Row | None]  # control and seeds, where studies.read finds them of this run
    export: Row | None = None  # how exported models answer, where it is of this run


def right(row: Row, arm: str) -> bool:
    """Whether an arm answered a question right, by the majority of its samples."""
    answer = row[arm]
    if row["record"]["kind"] == "open":  # no two are alike: there is no majority of wordings
        return answer["correct"] > 0.5
    return majority(answer)


def outcome(row: Row) -> str:
    """What the fine-tune did to one question: a key of OUTCOMES."""
    before, after = (right(row, arm) for arm in ARMS)
    return ("right" if before else "fixed") if after else ("broken" if before else "wrong")


def outcomes(rows: list[Row]) -> dict[str, int]:
    """How many questions had each outcome."""
    found = [outcome(row) for row in rows]
    return {name: found.count(name) for name in OUTCOMES}
