"""What every engine yields."""

from typing import NamedTuple


class Piece(NamedTuple):
    """New tokens of one answer."""

    index: int  # of the prompt
    token_ids: list[int]
    finish_reason: str | None  # `stop` or `length` with the last tokens of an answer, the stop token among them
    thinking_cut: bool = False  # whether the budget closed the thinking, with tokens that no engine wrote
