"""Plain `generate` of transformers, by batches: any architecture; the tests' reference."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from stages.files import records
from stages.generate.piece import Piece
from stages.params.schema import Generation


def independent(model: Any) -> bool:
    """Whether an answer depends on its own prompt alone: no, kernels are chosen by the batch."""
    return False


def check(config: Any) -> None:
    """Any model will do."""


def generate(model: Any, prompts: list[list[int]], settings: Generation) -> Iterator[Piece]:
    """Yield the tokens of each answer as they come, batch by batch."""
    # Neighbours in length share a batch, for less padding; the longest first, so that a lack of memory shows at once.
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    for batch in records.batches(order, settings.batch_size):
        left = dict.fromkeys(batch, settings.max_new_tokens)
        for column in _columns(model, [prompts[index] for index in batch], settings):
            for index, token in zip(batch, column, strict=True):
                if left[index]:
                    left[index] = 0 if token in model.stop_ids else left[index] - 1
                    ended = "stop" if token in model.stop_ids else "length"
                    yield Piece(index, [token], None if left[index] else ended)


def _columns(model: Any, prompts: list[list[int]], settings: Generation) -> Iterator[list[int]]:
    """The next token of each row, step by step, from a thread, as with transformers' streamers."""
    import torch
    from transformers import StoppingCriteriaList
    from transformers.generation.streamers import BaseStreamer

    abandoned = Event()
    queue: SimpleQueue[Any] = SimpleQueue()

    class Columns(BaseStreamer):
        """Hands on what each step adds, after the prompts."""

        put, end = staticmethod(queue.put), staticmethod(lambda: None)

    device, pad = model.network.device, model.tokenizer.pad_token_id
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(one)) + one for one in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts], device=device)

    def stop(ids: torch.Tensor, scores: Any) -> torch.Tensor:
        return torch.full(ids.shape[:1], abandoned.is_set(), device=ids.device)

    @torch.inference_mode()
    def run() -> None:
        try:
            model.network.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=settings.max_new_tokens,
                do_sample=False,
                eos_token_id=sorted(model.stop_ids),
                pad_token_id=pad,
                streamer=Columns(),
                stopping_criteria=StoppingCriteriaList([stop]),
            )
        except BaseException as error:  # raised again where it is read
            queue.put(error)
        queue.put(None)

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        while (column := queue.get()) is not None:
            if isinstance(column, BaseException):
                raise column
            if column.ndim == 1:  # the prompts come first, as they are
                yield column.tolist()
    finally:  # also where the caller stops half-way: the model is another's then
        abandoned.set()
        thread.join()
