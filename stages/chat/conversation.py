"""The prompt of a question that follows others."""

from typing import NamedTuple


class Turn(NamedTuple):
    """An earlier question, and what followed the thinking of its answer."""

    question: str
    answer: str
