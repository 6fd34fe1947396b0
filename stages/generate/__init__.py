"""The answers of a model as an iterator: one call for a stage, a chat and an export's check."""

from collections.abc import Iterator
from typing import Any

from stages.generate.piece import Piece
from stages.params.schema import Generation


def engine(settings: Generation) -> Any:
    """The module of the engine that params name: its `generate` and `independent`."""
    from stages.generate.engines import continuous_batching, hf_generate

    return {"continuous": continuous_batching, "transformers": hf_generate}[settings.engine]


def generate(model: Any, prompts: list[list[int]], settings: Generation, *, stream: bool = False) -> Iterator[Piece]:
    """Yield greedy answers to prompts of token ids, in no order; with `stream`, token by token.

    `model` is a stages.model.load.LoadedModel. Raises UserError for a model that the engine cannot run.
    """
    pieces = engine(settings).generate(model, prompts, settings)
    if stream:
        yield from pieces
        return
    answers: dict[int, list[int]] = {}
    for piece in pieces:
        answers.setdefault(piece.index, []).extend(piece.token_ids)
        if piece.finish_reason:
            yield piece._replace(token_ids=answers.pop(piece.index))
