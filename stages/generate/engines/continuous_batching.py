"""Continuous batching over a static cache: a row that ends makes room for the next one (Orca, Yu et al., OSDI 2022).

The same greedy answers as plain `generate`, in the same precision, several times faster: nothing is allocated, copied
or repeated from step to step (slots.py), finished rows are not computed on, and on a GPU a step is replayed as one
CUDA graph instead of launched kernel by kernel (steps.py).
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

from stages.files import records
from stages.files.errors import UserError
from stages.params.schema import Generation

# Prompts are read this many tokens at a time, padding included: enough to keep the card busy, and little memory.
PREFILL_TOKENS = 8192
# With fewer slots free than this share, running rows go on before new prompts are read: reading one costs many steps.
REFILL_SHARE = 1 / 8


def generate(
    answering: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    generation: Generation,
    progress: Any,
    limits: list[int] | None = None,
    skip: int = 0,
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Yield (indices of prompts, token ids of their answers) as chunks of `generation.chunk_size` prompts are answered.

    A chunk depends on nothing outside it, so a run that goes on after a chunk gives the bytes of one that never
    stopped. `progress` is a tqdm bar, in answers. `limits` are new tokens a prompt, `generation.max_new_tokens` for
    each if not given. The first `skip` chunks are left out. Raises UserError for a model with other than full causal
    attention.
    """
    import torch

    from stages.generate.engines.steps import Steps
    from stages.model.ops import varlen_attention

    limits = limits or [generation.max_new_tokens] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    size = min(generation.batch_size, generation.chunk_size, len(prompts))
    length = max((len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True)), default=0)
    whole = answering.get_base_model() if hasattr(answering, "get_base_model") else answering
    if not varlen_attention.plain(whole.config):
        raise UserError(
            f"generation.engine: continuous cannot run {whole.config.model_type}, whose attention is not full "
            "everywhere: set it to transformers"
        )
    with torch.inference_mode(), Steps(whole, size, length) as steps:
        for chunk in islice(records.batches(order, generation.chunk_size), skip, None):
            answers = _chunk(steps, chunk, prompts, limits, tokenizer.eos_token_id, progress)
            yield chunk, [answers[index] for index in chunk]


def _chunk(
    steps: Any, chunk: list[int], prompts: list[list[int]], limits: list[int], stop: int, progress: Any
) -> dict[int, list[int]]:
    """Answers by index of prompt. Slot i of the batch works on prompt `active[i]`; slots in use have no gaps."""
    waiting = deque(chunk)
    active: list[int] = []
    answers: dict[int, list[int]] = {index: [] for index in chunk}

    def ended(index: int) -> bool:
        return len(answers[index]) >= limits[index] or answers[index][-1:] == [stop]

    def drop(active: list[int]) -> list[int]:
        slots = [slot for slot, index in enumerate(active) if ended(index)]
        progress.update(len(slots))
        return steps.drop(slots, active)

    while waiting or active:
        while waiting and steps.size - len(active) >= min(len(waiting), max(1, int(steps.size * REFILL_SHARE))):
            batch = _next_batch(waiting, prompts, steps.size - len(active))
            for index, token in zip(batch, steps.read([prompts[index] for index in batch], len(active)), strict=True):
                answers[index].append(token)
            active = drop(active + batch)
        if not active:
            continue
        for tokens in steps.decode(len(active)):
            for index, token in zip(active, tokens, strict=True):
                if not ended(index):
                    answers[index].append(token)
        active = drop(active)
    return answers


def _next_batch(waiting: deque[int], prompts: list[list[int]], room: int) -> list[int]:
    """The next prompts to read together: as many as there is room for, within PREFILL_TOKENS, one at least."""
    width = len(prompts[waiting[0]])
    return [waiting.popleft() for _ in range(min(len(waiting), room, max(1, PREFILL_TOKENS // width)))]
