"""The memory of a training step."""

import statistics
from typing import Any

from stages.model.memory import Parts, weights, widths
from stages.params.schema import Params

# Bytes of optimizer state a trained weight: two moments in float32, or in eight bits.
MOMENTS = {"adamw_8bit": 2, "paged_adamw_8bit": 2}
# What plain transformers keeps for the backward pass, against fused norms, rotations and activations.
UNFUSED = 1.5
LOGITS = 256 * 8  # rows of a chunk of the loss, and bytes of a logit on its way (train/loss.py)


def estimate(loaded: Any, params: Params, lengths: list[int]) -> Parts:
    """Bytes by part of the largest training step, adapter included, on rows of these lengths."""
    config = loaded.config.get_text_config()
    trained = sum(one.numel() for one in loaded.parameters() if one.requires_grad)
    tokens = _largest_batch(lengths, params)
    kept = tokens * _layer(config, 2 if params.model.dtype != "float32" else 4)
    if not (params.model.use_liger_kernel or params.model.backend == "unsloth"):
        kept *= UNFUSED
    layers = config.num_hidden_layers - min(params.lora.layers_to_transform or [0])
    checkpointed = kept + layers * tokens * config.hidden_size * 2
    return {
        "weights": weights(loaded) - 4 * trained,
        "adapter and optimizer": trained * (8 + MOMENTS.get(params.training.optim, 8)),
        "activations": checkpointed if params.training.gradient_checkpointing else layers * kept,
        "logits": config.vocab_size * LOGITS,
    }


def smaller(params: Params) -> list[dict[str, Any]]:
    """Smaller ways to train by the same rows a step: smaller batches, then with checkpointing."""
    batch, steps = params.training.per_device_train_batch_size, params.training.gradient_accumulation_steps
    key, accumulation = "training.per_device_train_batch_size", "training.gradient_accumulation_steps"
    halves = [{key: batch >> n, accumulation: steps << n} for n in range(batch.bit_length()) if batch % (1 << n) == 0]
    checkpointed = {"training.gradient_checkpointing": True}
    return halves[1:] + ([] if params.training.gradient_checkpointing else [{**one, **checkpointed} for one in halves])


def _largest_batch(lengths: list[int], params: Params) -> float:
    """Tokens of the largest batch: padded, or, end to end, three deviations above the mean."""
    batch = min(params.training.per_device_train_batch_size, len(lengths))
    if params.training.packing:
        return batch * params.prompt.max_length
    if not params.training.padding_free:
        return batch * max(lengths)
    spread = 3 * statistics.pstdev(lengths) * batch**0.5
    return min(batch * statistics.fmean(lengths) + spread, batch * max(lengths))


def _layer(config: Any, size: int) -> int:
    """Bytes a token that a layer's backward pass keeps: norms, queries, keys, values, the MLP."""
    queries, keys, mlp = widths(config)
    return size * (4 * config.hidden_size + 2 * (queries + keys) + 3 * mlp)
