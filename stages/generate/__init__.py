"""The answers of a model as an iterator: one call for a stage, a chat and an export's check."""

from collections.abc import Iterator
from typing import Any

from stages.files import records
from stages.generate import budget
from stages.generate.piece import Piece
from stages.params.schema import Generation


def engine(settings: Generation) -> Any:
    """The module of the engine that params name: its `generate` and `independent`."""
    from stages.generate.engines import continuous_batching, hf_generate

    return {"continuous": continuous_batching, "transformers": hf_generate}[settings.engine]


def seed_of(prompt: list[int], sample: int, settings: Generation) -> int:
    """The seed of an answer's draws: from its prompt, its number among the samples and params alone."""
    return int(records.fingerprint([prompt, sample, settings.seed]), 16)


def generate(
    model: Any,
    prompts: list[list[int]],
    settings: Generation,
    *,
    seeds: list[int] | None = None,
    tags: budget.Tags | None = None,
    stream: bool = False,
) -> Iterator[Piece]:
    """Yield answers to prompts of token ids, in no order; with `stream`, token by token.

    `model` is a stages.model.load.LoadedModel. `seeds` are those of sample 0 if not given. `tags` are those of the
    thinking, which has no budget without them. Raises UserError for a model that the engine cannot run.
    """
    run = engine(settings).generate
    seeds = seeds or [seed_of(prompt, 0, settings) for prompt in prompts]
    if tags is None or settings.max_thinking_tokens is None:
        pieces = run(model, prompts, settings, seeds=seeds)
    else:
        pieces = budget.generate(run, model, prompts, settings, seeds, tags)
    if stream:
        yield from pieces
        return
    answers: dict[int, list[int]] = {}
    cut: set[int] = set()
    for piece in pieces:
        answers.setdefault(piece.index, []).extend(piece.token_ids)
        if piece.thinking_cut:
            cut.add(piece.index)
        if piece.finish_reason:
            yield piece._replace(token_ids=answers.pop(piece.index), thinking_cut=piece.index in cut)
