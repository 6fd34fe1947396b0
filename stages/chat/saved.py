"""What a person chose to keep of a conversation: rows that the `files` source reads."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from stages.chat.answer import Answer
from stages.files import records
from stages.params.data_schema import RowColumns

FOLDER = Path("data/chat")


def path() -> Path:
    """Today's file."""
    return FOLDER / f"{datetime.now():%Y-%m-%d}.jsonl"


def save(columns: RowColumns, question: str, answers: Mapping[str, Answer], conversation: str) -> None:
    """Append a row under the names of `columns`: question, and the last arm's reasoning and response.

    The other columns of a row, which no source reads, have every arm's whole text.
    """
    answer = list(answers.values())[-1]
    ours = {"question": question, "reasoning": answer.thinking or "", "response": answer.reply or ""}
    ours |= {"answer": "", "group": conversation}
    row = {theirs: ours[name] for name, theirs in columns if theirs is not None}
    row |= {"arms": {name: one.text for name, one in answers.items()}}
    FOLDER.mkdir(parents=True, exist_ok=True)
    with path().open("a", encoding="utf-8", newline="\n") as file:
        file.write(records.line(row))
