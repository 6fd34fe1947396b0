"""Plain `generate` of transformers, by batches: any architecture; the tests' reference."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import numpy as np

from stages.files import records
from stages.generate.piece import Piece
from stages.generate.sampling import pick, uniforms
from stages.params.schema import Generation


def independent(model: Any) -> bool:
    """Whether an answer depends on its own prompt alone: no, kernels are chosen by the batch."""
    return False


def generate(
    model: Any,
    prompts: list[list[int]],
    settings: Generation,
    limits: list[int] | None = None,
    seeds: list[int] | None = None,
    offsets: list[int] | None = None,
) -> Iterator[Piece]:
    """Yield the tokens of each answer as they come, batch by batch; the arguments are those of continuous batching."""
    limits = limits or [settings.max_new_tokens] * len(prompts)
    offsets = offsets or [0] * len(prompts)
    # Neighbours in length share a batch, for less padding; the longest first, so that a lack of memory shows at once.
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    for batch in records.batches(order, settings.batch_size if _ignores_padding(model) else 1):
        left = {index: limits[index] for index in batch}
        draws = [uniforms(seeds[index], offsets[index], left[index]) for index in batch] if settings.temperature else []
        for column in _columns(model, [prompts[index] for index in batch], settings, [*left.values()], draws):
            for index, token in zip(batch, column, strict=True):
                if left[index]:
                    left[index] = 0 if token in model.stop_ids else left[index] - 1
                    ended = "stop" if token in model.stop_ids else "length"
                    yield Piece(index, [token], None if left[index] else ended)


def _ignores_padding(model: Any) -> bool:
    """Whether masked tokens before a prompt leave its logits as they are: not so in every recurrent model."""
    import torch

    from stages.model.ops.head import same

    if "ignores_padding" not in model.cache:
        ids = torch.arange(1, 9, device=model.network.device)[None] % model.network.config.get_text_config().vocab_size
        mask = torch.ones_like(ids)
        padded = torch.cat([ids, ids], 1), torch.cat([0 * mask, mask], 1)
        options = {"max_new_tokens": 1, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
        with torch.inference_mode():
            alone, beside = (
                model.network.generate(input_ids=given, attention_mask=seen, pad_token_id=0, **options).logits[0]
                for given, seen in ((ids, mask), padded)
            )
        model.cache["ignores_padding"] = same(beside, alone)
    return model.cache["ignores_padding"]


def _columns(
    model: Any, prompts: list[list[int]], settings: Generation, limits: list[int], draws: list[np.ndarray]
) -> Iterator[list[int]]:
    """The next token of each row, step by step, from a thread, as with transformers' streamers."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from transformers import LogitsProcessorList, StoppingCriteriaList
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

    ends = torch.tensor(limits, device=device) + width
    numbers = pad_sequence([torch.from_numpy(one) for one in draws], batch_first=True).to(device) if draws else None

    def stop(ids: torch.Tensor, scores: Any) -> torch.Tensor:
        return (ends <= ids.shape[1]) | abandoned.is_set()

    def draw(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Leave one token of each row."""
        picked = pick(scores, numbers[:, ids.shape[1] - width], settings.temperature, settings.top_p)
        return torch.full_like(scores, -torch.inf).scatter_(1, picked[:, None], 0)

    @torch.inference_mode()
    def run() -> None:
        try:
            model.network.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max(limits),
                do_sample=False,
                eos_token_id=sorted(model.stop_ids),
                pad_token_id=pad,
                streamer=Columns(),
                logits_processor=LogitsProcessorList([draw] if draws else []),
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
