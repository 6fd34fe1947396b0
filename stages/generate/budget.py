"""A budget for the thinking: where it is spent, the thinking is closed by force, and the answer goes on.

Budget forcing, Muennighoff et al. 2025, s1 (arXiv 2501.19393); for medical reasoning, m1 (arXiv 2504.00869).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from stages.data.parts import Parts
from stages.generate import generation_errors
from stages.generate.piece import Piece
from stages.params.schema import Generation

Tags = Sequence[str]  # what opens and what closes the thinking
TEXT = [-1]  # for Parts: what stands before is text, no added token
BLANKS = 8  # tokens that may follow the opening tag at the end of a prompt


def closing(tags: Tags) -> str:
    """The closing tag on a line of its own, as completions have it."""
    return f"\n{tags[1]}\n"


def is_open(tokenizer: Any, prompt: list[int], text: str, tags: Tags) -> bool:
    """Whether a thinking is open at the end of an answer's text: it, or its prompt, opened one and no tag closed it."""
    opens, closes, text = tags[0].casefold(), tags[1].casefold(), text.casefold()
    if opens in text or closes in text:
        return text.rfind(opens) > text.rfind(closes)
    end = tokenizer.decode(prompt[-len(opens.encode()) - BLANKS :], skip_special_tokens=False)
    return end.casefold().rstrip().endswith(opens)


def generate(
    run: Callable[..., Iterator[Piece]],
    model: Any,
    prompts: list[list[int]],
    settings: Generation,
    seeds: list[int] | None,
    tags: Tags,
) -> Iterator[Piece]:
    """Yield the pieces of `run`, an engine's `generate`, within the budget for the thinking.

    Answers that have not ended at the budget go on in a second round: with the closing tag where they still think. The
    tag counts in `max_new_tokens` and takes no draw. Raises UserError where it leaves no room for an answer.
    """
    (close,) = Parts(model.tokenizer).ids([closing(tags)], TEXT)
    budget, most = settings.max_thinking_tokens, settings.max_new_tokens
    if budget + len(close) >= most:
        raise generation_errors.NO_ROOM(budget=budget, closing=len(close), most=most)
    written: list[list[int]] = [[] for _ in prompts]
    left = []
    for piece in run(model, prompts, settings, limits=[budget] * len(prompts), seeds=seeds):
        written[piece.index] += piece.token_ids
        if piece.finish_reason == "length":
            left.append(piece.index)
            piece = piece._replace(finish_reason=None)
        yield piece
    left.sort()  # the order in which they ended is the engine's
    for index in left:
        text = model.tokenizer.decode(written[index], skip_special_tokens=False)
        if is_open(model.tokenizer, prompts[index], text, tags):
            written[index] += close
            yield Piece(index, close, None, thinking_cut=True)
    if left:
        rest = run(
            model,
            [prompts[index] + written[index] for index in left],
            settings,
            limits=[most - len(written[index]) for index in left],
            seeds=seeds and [seeds[index] for index in left],
            offsets=[budget] * len(left),
        )
        for piece in rest:
            yield piece._replace(index=left[piece.index])
