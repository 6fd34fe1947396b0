"""An answer as it grows: decoded, and split into thinking and reply."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Literal

from stages.chat import conversation
from stages.chat.conversation import Turn
from stages.data.prompts import Formatter
from stages.evaluate import thinking
from stages.generate import generate
from stages.model.load import LoadedModel
from stages.params.schema import Generation, Params, Prompt

INCOMPLETE = "\ufffd"  # what a character decodes to that has not all of its bytes yet


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


def write(
    arm: LoadedModel,
    params: Params,
    question: str,
    history: Sequence[Turn] = (),
    settings: Generation | None = None,
) -> Iterator[Answer]:
    """Yield an arm's answer as it grows; to close the iterator ends the generation.

    The whole text is that of post_infer's first sample for the same prompt and settings (`params.generation` if not
    given), on a CPU to the byte. Raises UserError for a question that does not fit the model's positions.
    """
    start, settings = time.perf_counter(), settings or params.generation
    formatter, tags = _formatter(arm, params.prompt), params.prompt.thinking_tags
    limit = getattr(arm.network.config.get_text_config(), "max_position_embeddings", float("inf"))
    ids, dropped = conversation.prompt(formatter, history, question, limit - settings.max_new_tokens)
    if arm.network.device.type != "cpu":  # a CPU's batch shares one shape of matrices, which its bytes depend on
        settings = settings.model_copy(update={"batch_size": 1})
    written: list[int] = []
    cut = False
    with closing(generate(arm, [ids], settings, tags=tags, stream=True)) as pieces:
        for piece in pieces:
            written += piece.token_ids
            cut |= piece.thinking_cut
            shown = written[: -1 if piece.finish_reason == "stop" else None]
            text = whole = arm.tokenizer.decode(shown, skip_special_tokens=False)
            if piece.finish_reason is None:
                text = whole = text.rstrip(INCOMPLETE)
                whole = _without_tag(text, tags)
            state, reasoning, reply = thinking.split(whole, thinking.Tags(*tags, formatter.thinking_opened))
            took = time.perf_counter() - start
            yield Answer(text, reasoning, reply, state, len(written), took, piece.finish_reason, cut, dropped)


def side_by_side(
    arms: Mapping[str, LoadedModel],
    params: Params,
    question: str,
    histories: Mapping[str, Sequence[Turn]] | None = None,
    settings: Generation | None = None,
) -> Iterator[dict[str, Answer]]:
    """Yield the answers of several arms as they grow, a token of each in turn; each arm has its own earlier turns."""
    with ExitStack() as stack:
        left = {
            name: stack.enter_context(closing(write(arm, params, question, (histories or {}).get(name, ()), settings)))
            for name, arm in arms.items()
        }
        answers = dict.fromkeys(arms, Answer())
        while left:
            for name in list(left):
                if (answer := next(left[name], None)) is None:
                    del left[name]
                else:
                    answers[name] = answer
            if left:
                yield dict(answers)


def _formatter(arm: LoadedModel, prompt: Prompt) -> Formatter:
    """The arm's formatter, kept with it: it copies the tokenizer."""
    found = arm.cache.get("formatter")
    if found is None or found.prompt != prompt:
        found = arm.cache["formatter"] = Formatter(arm.tokenizer, prompt)
    return found


def _without_tag(text: str, tags: Sequence[str]) -> str:
    """A text without the beginning of a tag at its end."""
    begun = [tag[:size].casefold() for tag in tags for size in range(1, len(tag))]
    cut = max((len(start) for start in begun if text[-len(start) :].casefold() == start), default=0)
    return text[: len(text) - cut]
