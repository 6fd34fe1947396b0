"""Plain `generate` of transformers, batch by batch: any architecture, and the yardstick for other engines."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from stages.files import records
from stages.params.schema import Generation


def generate(
    answering: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    generation: Generation,
    progress: Any,
    skip: int = 0,
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Yield batches as (indices of prompts, token ids of their answers), the longest prompts first.

    Neighbours in length share a batch, so little is padded; the longest go first, so that a batch too large for the
    memory fails at once; the first `skip` batches are left out. `progress` is a tqdm bar, in answers. Ids end with the
    stop token where the model wrote it.
    """
    import torch

    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    for batch in islice(records.batches(order, generation.batch_size), skip, None):
        width = len(prompts[batch[0]])
        padding = [width - len(prompts[index]) for index in batch]
        ids = [[tokenizer.pad_token_id] * pad + prompts[index] for pad, index in zip(padding, batch, strict=True)]
        mask = [[0] * pad + [1] * (width - pad) for pad in padding]
        with torch.inference_mode():
            out = answering.generate(
                input_ids=torch.tensor(ids, device=answering.device),
                attention_mask=torch.tensor(mask, device=answering.device),
                max_new_tokens=generation.max_new_tokens,
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        progress.update(len(batch))
        yield batch, [_until_stop(answer, tokenizer.eos_token_id) for answer in out[:, width:].tolist()]


def _until_stop(ids: list[int], stop: int) -> list[int]:
    return ids[: ids.index(stop) + 1] if stop in ids else ids
