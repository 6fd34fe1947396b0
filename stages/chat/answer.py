"""An answer as it grows: decoded, and split into thinking and reply."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Answer:
    """What one arm has written so far."""

    text: str = ""  # all of it, without the stop token: what post_infer writes
    thinking: str | None = None  # None where there is none
    reply: str | None = None  # what follows the thinking; None while the model thinks
    state: Literal["none", "open", "closed"] = "none"  # of the thinking
    tokens: int = 0
    seconds: float = 0.0  # since the question was asked
    finish_reason: Literal["stop", "length"] | None = None  # None while it grows
    thinking_cut: bool = False
    dropped: int = 0  # earlier turns that did not fit
