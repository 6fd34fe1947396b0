"""How much memory a run will take, said before it starts, and what would fit where it was too much.

The estimates count what is largest: weights, adapter with gradients and optimizer, what the backward pass keeps,
logits, and the cache of keys and values. On an H100 they were within a tenth of torch's reserved memory (README).
"""

import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stages.common.errors import UserError, out_of_memory
from stages.common.params.schema import Params

GB = 2**30
Parts = dict[str, float]
# Bytes of optimizer state a trained weight: two moments in float32, or in eight bits.
MOMENTS = {"adamw_8bit": 2, "paged_adamw_8bit": 2}
# What plain transformers keeps for the backward pass, against fused norms, rotations and activations.
UNFUSED = 1.5
LOGITS = 256 * 8  # rows of a chunk of the loss, and bytes of a logit on its way (kernels/loss.py)
PREFILL = 8192  # tokens read at a time (engines/continuous.py)


def training(loaded: Any, params: Params, lengths: list[int]) -> Parts:
    """Bytes by part of the largest training step on rows of these lengths, in tokens, for a model with its adapter."""
    config = loaded.config
    trained = sum(one.numel() for one in loaded.parameters() if one.requires_grad)
    tokens = _largest_batch(lengths, params)
    kept = tokens * _layer(config, 2 if params.model.dtype != "float32" else 4)
    if not (params.model.use_liger_kernel or params.model.backend == "unsloth"):
        kept *= UNFUSED
    layers = config.num_hidden_layers - min(params.lora.layers_to_transform or [0])
    activations = layers * kept
    if params.training.gradient_checkpointing:
        activations = kept + layers * tokens * config.hidden_size * 2
    return {
        "weights": _weights(loaded) - 4 * trained,
        "adapter and optimizer": trained * (8 + MOMENTS.get(params.training.optim, 8)),
        "activations": activations,
        "logits": config.vocab_size * LOGITS,
    }


def answering(loaded: Any, params: Params, longest: int) -> Parts:
    """Bytes by part of answering prompts of at most `longest` tokens."""
    config = loaded.config
    size = loaded.dtype.itemsize
    length = longest + params.generation.max_new_tokens
    keys = 2 * config.num_key_value_heads * _head(config) * config.num_hidden_layers * size
    read = max(PREFILL, longest) * (3 * config.intermediate_size + 4 * config.hidden_size) * size
    batch = params.generation.batch_size
    return {
        "weights": _weights(loaded),
        "cache": batch * length * keys,
        "activations": read + batch * config.vocab_size * 2 * size,
    }


@contextmanager
def watched(estimate: Callable[[Params], Parts], params: Params, settings: list[dict[str, Any]]) -> Iterator[None]:
    """Print the estimate; where the memory runs out, name the first of smaller `settings` that would fit.

    `settings` are changes to params by dotted key, the largest first. Raises UserError instead of the library's error.
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
    """One line: what the run needs, what there is, and the largest settings that would fit in `room` bytes."""
    needed = sum(estimate(params).values())
    # A run that failed needs more than its estimate said: only what is clearly smaller is worth a try.
    bound = min(0.92 * room, 0.9 * needed)
    line = f"out of memory: it needs about {needed / GB:.1f} GB, and there are {room / GB:.1f}"
    for changes in settings:
        size = sum(estimate(changed(params, changes)).values())
        if size < bound:
            named = ", ".join(f"{key}: {str(value).lower()}" for key, value in changes.items())
            return f"{line}: set {named} (about {size / GB:.1f} GB)"
    return (
        f"{line}: no smaller batch fits: shorten the rows (prompt.max_length), or set model.load_in_4bit: true on a GPU"
    )


def training_settings(params: Params) -> list[dict[str, Any]]:
    """Smaller ways to train by the same rows a step: smaller batches, then with checkpointing."""
    batch, steps = params.training.per_device_train_batch_size, params.training.gradient_accumulation_steps
    key, accumulation = "training.per_device_train_batch_size", "training.gradient_accumulation_steps"
    halves = [{key: batch >> n, accumulation: steps << n} for n in range(batch.bit_length()) if batch % (1 << n) == 0]
    checkpointed = {"training.gradient_checkpointing": True}
    return halves[1:] + ([] if params.training.gradient_checkpointing else [{**one, **checkpointed} for one in halves])


def answering_settings(params: Params) -> list[dict[str, Any]]:
    """Smaller ways to answer: smaller batches."""
    batch = params.generation.batch_size
    return [{"generation.batch_size": batch >> n} for n in range(1, batch.bit_length())]


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


def _largest_batch(lengths: list[int], params: Params) -> float:
    """Tokens of the largest batch: padded to the longest row, or, end to end, three deviations above the mean."""
    batch = min(params.training.per_device_train_batch_size, len(lengths))
    if params.training.packing:
        return batch * params.prompt.max_length
    if not params.training.padding_free:
        return batch * max(lengths)
    spread = 3 * statistics.pstdev(lengths) * batch**0.5
    return min(batch * statistics.fmean(lengths) + spread, batch * max(lengths))


def _weights(loaded: Any) -> int:
    return sum(one.numel() * one.element_size() for one in loaded.parameters())


def _head(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _layer(config: Any, size: int) -> int:
    """Bytes a token that the backward pass of one layer keeps: norms, queries, keys, values, the MLP's three."""
    attention = 2 * _head(config) * (config.num_attention_heads + config.num_key_value_heads)
    return size * (4 * config.hidden_size + attention + 3 * config.intermediate_size)
