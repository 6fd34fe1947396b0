"""An answer in two parts: its thinking, and what follows, which alone is graded."""

import re
from typing import Literal, NamedTuple

OPEN, CLOSE = re.compile(r"<think>", re.I), re.compile(r"</think>", re.I)


class Thinking(NamedTuple):
    """Both parts without the blanks around them."""

    state: Literal["none", "open", "closed"]
    reasoning: str | None  # None in the state none
    answer: str | None  # None in the state open


def split(text: str) -> Thinking:
    """Split a text at its last `</think>`; where a `<think>` follows that, no answer does."""
    closes = list(CLOSE.finditer(text))
    end, start = closes[-1].span() if closes else (0, 0)
    if OPEN.search(text, start):
        return Thinking("open", _untagged(text), None)
    return Thinking("closed" if closes else "none", _untagged(text[:end]) if closes else None, text[start:].strip())


def _untagged(reasoning: str) -> str:
    return OPEN.sub("", reasoning, count=1).strip()
