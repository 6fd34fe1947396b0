"""The form of an answer, and of all of one arm: its thinking, and whether it is empty or looping.

Looping is one of two things. Either the text ends in the same span of words again and again: at least four times and
over at least 20 words, cut off or not. Or at least half of the four-word sequences at its end (the last 100, 200, 400
words and so on, or all of a text of 40 words or more) are repetitions there: seq-rep-4 of Welleck et al. 2020, Neural
text generation with unlikelihood training (arXiv:1908.04319), which also finds loops that change a word on the way. The
half is ours: 150 rows of medical reasoning stay under 0.06, 400 running totals of clinical scores under 0.14.
"""

import re
from collections import Counter
from typing import Any

from stages.evaluate.graders.plain_text import empty
from stages.evaluate.thinking import TAGS, Tags, split

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+")
SPAN_TIMES, SPAN_WORDS, SPAN_LONGEST = 4, 20, 200
GRAM, REPEATED, SHORTEST, WINDOW = 4, 0.5, 40, 100


def form(text: str, tags: Tags = TAGS) -> dict[str, Any]:
    """The state of the thinking (closed, open, none), and whether the text is empty or looping."""
    state, reasoning, answer = split(text, tags)
    return {
        "thinking": state,
        "empty": empty(reasoning if answer is None else answer),
        "looping": looping(text),
    }


def form_of(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """How the graded answers of one arm, all samples, are written, and why the wrong ones are wrong as written."""
    stated = [answer for answer in answers if answer["extracted"] is not None]
    share = len(answers)
    return {
        "stated": len(stated) / share,
        "correct_when_stated": sum(answer["written"] for answer in stated) / len(stated) if stated else None,
        "thinking_cut": sum(answer.get("thinking_cut", False) for answer in answers) / share,
        "thinking_closed": sum(answer["thinking"] == "closed" for answer in answers) / share,
        "finish_reason_length": sum(answer["finish_reason"] == "length" for answer in answers) / share,
        "empty": sum(answer["empty"] for answer in answers) / share,
        "looping": sum(answer["looping"] for answer in answers) / share,
        "tokens": sum(answer["tokens"] for answer in answers) / share,
        "reasons": dict(sorted(Counter(answer["reason"] for answer in answers if answer["reason"]).items())),
    }


def looping(text: str) -> bool:
    """Whether a text ends in a loop, by the rule above."""
    words = WORD.findall(text.casefold())
    return ends_in_spans(words) or repeats(words)


def ends_in_spans(words: list[str]) -> bool:
    """Whether the words end in one span at least four times over."""
    for span in range(1, min(SPAN_LONGEST, len(words) // SPAN_TIMES) + 1):
        needed = max(SPAN_TIMES * span, SPAN_WORDS)
        if needed <= len(words) and words[-1] == words[-1 - span] and words[-span * 2] == words[-span]:
            tail = words[-needed:]
            if tail[span:] == tail[:-span]:
                return True
    return False


def repeats(words: list[str]) -> bool:
    """Whether half of the four-word sequences at the end of the words are repetitions."""
    grams = list(zip(*(words[start:] for start in range(GRAM)), strict=False))
    size = WINDOW
    while len(words) >= SHORTEST:
        tail = grams[-(size - GRAM + 1) :]
        if 1 - len(set(tail)) / len(tail) >= REPEATED:
            return True
        if size >= len(words):
            return False
        size *= 2
    return False
