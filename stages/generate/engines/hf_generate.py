"""Plain `generate` of transformers, batch by batch: any architecture, and the yardstick for other engines."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any

from stages.files import records
from stages.generate.piece import Piece
from stages.params.schema import Generation


def independent(model: Any) -> bool:
    """Whether an answer depends on its own prompt alone: no, kernels are chosen by the batch."""
    return False


def generate(model: Any, prompts: list[list[int]], settings: Generation, stream: bool) -> Iterator[Piece]:
    """Yield answers batch by batch, the longest prompts first; with `stream` tokens as they come.

    Neighbours in length share a batch, so little is padded; the longest go first, so that a batch too large for the
    memory fails at once.
    """
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    for batch in records.batches(order, settings.batch_size):
        if not stream:
            rows = _generate(model, [prompts[index] for index in batch], settings)
            for index, ids in zip(batch, rows, strict=True):
                yield from _pieces(model, index, ids, settings)
            continue
        written = dict.fromkeys(batch, 0)
        for column in _streamed(model, [prompts[index] for index in batch], settings):
            for index, token in zip(batch, column, strict=True):
                if written[index] is not None:
                    written[index] += 1
                    ended = token in model.stop_ids or written[index] == settings.max_new_tokens
                    yield Piece(index, [token], _reason(model, token) if ended else None)
                    written[index] = None if ended else written[index]


def _pieces(model: Any, index: int, ids: list[int], settings: Generation) -> Iterator[Piece]:
    end = next((place for place, token in enumerate(ids, 1) if token in model.stop_ids), len(ids))
    yield Piece(index, ids[:end], _reason(model, ids[end - 1]))


def _reason(model: Any, last: int) -> str:
    return "stop" if last in model.stop_ids else "length"


def _streamed(model: Any, prompts: list[list[int]], settings: Generation) -> Iterator[list[int]]:
    """The next token of each row, step by step: `generate` runs in a thread, as with transformers' own streamers."""
    from transformers.generation.streamers import BaseStreamer

    queue: SimpleQueue[Any] = SimpleQueue()

    class Columns(BaseStreamer):
        """Hands on what each step adds."""

        def put(self, value: Any) -> None:
            """The prompts first, then the new token of each row."""
            queue.put(value.flatten().tolist())

        def end(self) -> None:
            """All is written."""

    def run() -> None:
        try:
            _generate(model, prompts, settings, streamer=Columns())
        except BaseException as error:  # raised again where it is read
            queue.put(error)
        queue.put(None)

    thread = Thread(target=run, daemon=True)
    thread.start()
    queue.get()  # the prompts
    while (column := queue.get()) is not None:
        if isinstance(column, BaseException):
            raise column
        yield column
    thread.join()


def _generate(model: Any, prompts: list[list[int]], settings: Generation, streamer: Any = None) -> list[list[int]]:
    """The new token ids of each row, what follows a stop token included."""
    import torch

    device, pad = model.network.device, model.tokenizer.pad_token_id
    width = max(map(len, prompts))
    with torch.inference_mode():
        out = model.network.generate(
            input_ids=torch.tensor([[pad] * (width - len(ids)) + ids for ids in prompts], device=device),
            attention_mask=torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=device),
            max_new_tokens=settings.max_new_tokens,
            do_sample=False,
            eos_token_id=sorted(model.stop_ids),
            pad_token_id=pad,
            streamer=streamer,
        )
    return out[:, width:].tolist()
