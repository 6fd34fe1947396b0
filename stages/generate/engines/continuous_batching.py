"""Continuous batching over a static cache: a row that ends makes room for the next one.

Orca, Yu et al., OSDI 2022. The same answers as plain `generate`, in the same precision, several times faster:
nothing is allocated, copied or repeated from step to step (slots.py), finished rows are not computed on, and on a GPU a
step is replayed as one CUDA graph instead of launched kernel by kernel (steps.py).
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from stages.generate import generation_errors
from stages.generate.piece import Piece
from stages.generate.sampling import uniforms
from stages.model.architecture import full_attention
from stages.model.memory.generation import PREFILL_TOKENS
from stages.params.schema import Generation

# With fewer slots free than this share, running rows go on before new prompts are read: reading one costs many steps.
REFILL_SHARE = 1 / 8
LENGTHS = 256  # slots are as long as the longest row could become, rounded up to a multiple of this


def independent(model: Any) -> bool:
    """Whether an answer depends on its own prompt alone, to the bit: not on a GPU."""
    # On a CPU each prompt is read alone and every step has the same shape. On a GPU kernels are chosen by the batch.
    return model.network.device.type == "cpu"


def generate(
    model: Any,
    prompts: list[list[int]],
    settings: Generation,
    limits: list[int] | None = None,
    seeds: list[int] | None = None,
    offsets: list[int] | None = None,
) -> Iterator[Piece]:
    """Yield the tokens of each answer as they are decoded.

    `limits` are new tokens a prompt, `settings.max_new_tokens` for each if not given. Above temperature 0, `seeds` are
    of each answer's draws, and `offsets` says how many of them were used before. Raises UserError for a model with
    other than full causal attention.
    """
    left = limits[:] if limits else [settings.max_new_tokens] * len(prompts)
    offsets = offsets or [0] * len(prompts)
    steps = _steps(model, settings, len(prompts), max(map(len, prompts), default=0) + max(left, default=0))
    waiting = deque(sorted(range(len(prompts)), key=lambda index: -len(prompts[index])))
    active: list[int] = []  # slot i of the batch works on prompt active[i]; slots in use have no gaps

    def piece(index: int, token: int) -> Piece:
        if token in model.stop_ids:
            left[index] = 0
            return Piece(index, [token], "stop")
        left[index] -= 1
        return Piece(index, [token], None if left[index] else "length")

    def draws(batch: list[int]) -> Any:
        return (
            [uniforms(seeds[index], offsets[index], left[index]) for index in batch] if settings.temperature else None
        )

    def drop(active: list[int]) -> list[int]:
        return steps.drop([slot for slot, index in enumerate(active) if not left[index]], active)

    try:
        while waiting or active:
            while waiting and steps.slots - len(active) >= min(len(waiting), max(1, int(steps.slots * REFILL_SHARE))):
                batch = _next_batch(waiting, prompts, 1 if independent(model) else steps.slots - len(active))
                first = steps.read([prompts[index] for index in batch], len(active), draws(batch))
                yield from map(piece, batch, first)
                active = drop(active + batch)
            if not active:
                continue
            for tokens in steps.decode(len(active)):
                for index, token in zip(active, tokens, strict=True):
                    if left[index]:
                        yield piece(index, token)
            active = drop(active)
    finally:  # also where the caller stops half-way
        model.cache["steps"] = steps


def _steps(model: Any, settings: Generation, count: int, length: int) -> Any:
    """The steps of an earlier call that has ended where `count` rows of `length` tokens fit, else new ones."""
    from stages.generate.engines.steps import Steps

    network = model.network.get_base_model() if hasattr(model.network, "get_base_model") else model.network
    full_attention("continuous", network.config)
    size = slots = min(settings.batch_size, settings.chunk_size)
    if independent(model):  # a row without a slot is multiplied, and kept nowhere
        slots = max(1, min(size, count))
    length = -(-length // LENGTHS) * LENGTHS
    made = model.cache.pop("steps", None)  # a call that has not ended keeps its own
    if made is None or made.size != size or made.slots < slots or made.length < length:
        made = None  # its memory first
        made = Steps(network, size, slots, length) if network._supports_attention_backend else None
        if made is None or not made.right():
            raise generation_errors.OTHER_ATTENTION(model_type=network.config.model_type)
    made.begin(length, settings.temperature, settings.top_p)
    return made


def _next_batch(waiting: deque[int], prompts: list[list[int]], room: int) -> list[int]:
    """The next prompts to read together: at most `room`, within PREFILL_TOKENS, one at least."""
    width = len(prompts[waiting[0]])
    return [waiting.popleft() for _ in range(min(len(waiting), room, max(1, PREFILL_TOKENS // width)))]
