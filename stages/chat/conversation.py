"""The prompt of a question that follows others: questions and answers are plain text in it, as in format_prompts."""

from collections.abc import Sequence
from typing import NamedTuple

from stages.chat import texts
from stages.data import chat_template
from stages.data.parts import Parts
from stages.data.prompts import TEXT, Formatter


class Turn(NamedTuple):
    """An earlier question, and what followed the thinking of its answer."""

    question: str
    answer: str


def prompt(formatter: Formatter, history: Sequence[Turn], question: str, room: float) -> tuple[list[int], int]:
    """The token ids of a question after earlier turns, and how many of these, the oldest, were dropped for `room`.

    Without earlier turns they are those of format_prompts. Raises UserError for a question that alone takes more.
    """
    for dropped in range(len(history) + 1):
        ids = _ids(formatter, history[dropped:], question)
        if len(ids) <= room:
            return ids, dropped
    raise texts.TOO_LONG(tokens=len(ids), room=max(0, room))


def _ids(formatter: Formatter, history: Sequence[Turn], question: str) -> list[int]:
    said = [_whole(text) for text in [*(one for turn in history for one in turn), question]]
    between = _between(formatter, len(history))
    ids, end = formatter.side_ids
    ids, parts = list(ids), Parts(formatter.tokenizer)
    for text, after in zip(said, [*between, None], strict=True):
        # A template may begin with the question, and a tokenizer have a space of its own there.
        ids += formatter.for_questions.ids([text], ids if formatter.sides[0] else [])[0]
        ids += end if after is None else parts.ids([after], TEXT)[0]
    return ids


def _whole(text: str) -> str:
    """A text that is UTF-8: halves of characters, which a terminal and JSON can hold, are replaced."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _between(formatter: Formatter, turns: int) -> list[str]:
    """The template's text after each question and answer but the last question."""
    if not turns:
        return []
    before, after = formatter.sides
    if formatter.prompt.style == "plain":
        if formatter.thinking_opened:  # of an earlier turn there is no thinking
            after = after[: after.rindex(formatter.prompt.thinking_tags[0])]
        stop = formatter.tokenizer.convert_ids_to_tokens(formatter.stop_id)
        return [after, stop + before] * turns
    marks = [f"{{{name}-{turn}}}" for turn in range(turns + 1) for name in ("question", "answer")][:-1]
    roles = [{"role": ("user", "assistant")[index % 2], "content": mark} for index, mark in enumerate(marks)]
    rest = chat_template._rendered(formatter.tokenizer, roles, formatter.prompt, add_generation_prompt=True)
    found = []
    for mark in marks:
        if rest.count(mark) != 1:
            raise texts.NO_CONVERSATION()
        part, rest = rest.split(mark)
        found.append(part)
    if [found[0], rest] != [before, after]:
        raise texts.NO_CONVERSATION()
    return found[1:]
