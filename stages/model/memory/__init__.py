"""How much memory a run will take, printed before it starts, and settings that would fit.

The estimates count what is largest: weights, adapter with gradients and optimizer, what the backward pass keeps,
logits, and the cache of keys and values. On an H100 they were within a tenth of torch's reserved memory (README).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stages.files.errors import UserError, out_of_memory
from stages.params.schema import Params

GB = 2**30
Parts = dict[str, float]


@contextmanager
def watched(estimate: Callable[[Params], Parts], params: Params, settings: list[dict[str, Any]]) -> Iterator[None]:
    """Print the estimate; where memory runs out, raise UserError with `settings` that fit.

    `settings` are changes to params by dotted key, the largest first.
    """
    parts = estimate(params)
    listed = ", ".join(f"{name} {size / GB:.1f}" for name, size in parts.items())
    print(f"memory: about {sum(parts.values()) / GB:.1f} GB ({listed}) beside the libraries' own", flush=True)
    try:
        yield
    except Exception as error:
        if out_of_memory(error) is None:
            raise
        raise UserError(advice(estimate, params, settings, available())) from None


def advice(estimate: Callable[[Params], Parts], params: Params, settings: list[dict[str, Any]], room: float) -> str:
    """One line: what the run needs, what there is, the largest settings within `room` bytes."""
    needed = sum(estimate(params).values())
    # A run that failed needs more than its estimate said: only what is clearly smaller is worth a try.
    bound = min(0.92 * room, 0.9 * needed)
    line = f"out of memory: it needs about {needed / GB:.1f} GB, and there are {room / GB:.1f}"
    for changes in settings:
        size = sum(estimate(changed(params, changes)).values())
        if size < bound:
            named = ", ".join(f"{key}: {str(value).lower()}" for key, value in changes.items())
            return f"{line}: set {named} (about {size / GB:.1f} GB)"
    remedy = "shorten the rows (prompt.max_length), or set model.load_in_4bit: true on a GPU"
    return f"{line}: no smaller batch fits: {remedy}"


def changed(params: Params, changes: dict[str, Any]) -> Params:
    """Params with other values under dotted keys of two parts."""
    for key, value in changes.items():
        section, name = key.split(".")
        part = getattr(params, section).model_copy(update={name: value})
        params = params.model_copy(update={section: part})
    return params


def available() -> float:
    """Bytes of the GPU's memory where there is one, else of the machine's."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[1]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def weights(loaded: Any) -> int:
    """Bytes of all weights of a model."""
    return sum(one.numel() * one.element_size() for one in loaded.parameters())


def widths(config: Any) -> tuple[int, int, int]:
    """Widths of a layer's queries, its keys and its MLP, whatever a family's config names of them."""
    heads = getattr(config, "num_attention_heads", None) or 0  # Mamba has none
    groups = getattr(config, "num_key_value_heads", None) or heads
    size = getattr(config, "head_dim", None) or config.hidden_size // max(heads, 1)
    return heads * size, groups * size, getattr(config, "intermediate_size", None) or 4 * config.hidden_size
