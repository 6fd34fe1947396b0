"""A key-value cache of fixed slots, one a sequence, and attention over it.

Slots are written in place, never grown or reordered by copying; grouped-query heads are attended as they are, where
transformers repeats keys and values for every query head. On a GPU, flash attention reads as much of each slot as is
filled; on a CPU the filled part of the longest slot is read, under a mask.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from stages.generate import generation_errors
from stages.model.ops import varlen_attention

NAME = "slots"
# The CPU kernel's block of keys: its sums don't depend on what a longer view adds beyond a multiple of it.
BLOCK = 64


class Slots:
    """Keys and values of `size` sequences of up to `length` tokens, for all layers of a model."""

    def __init__(self, model: Any, size: int, length: int) -> None:
        """Memory for all of it at once, on the model's device and in its type."""
        config = model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.length = self.longest = -(-length // BLOCK) * BLOCK
        shape = (config.num_hidden_layers, 2, size, self.length, heads, dim)
        self.cache = torch.zeros(shape, dtype=model.dtype, device=model.device)
        # Tokens of a slot that are in the cache: what the next token attends to, beside itself.
        self.filled = torch.zeros(size, dtype=torch.int64, device=model.device)
        self.rows = torch.arange(size, device=model.device)
        self.starts = torch.arange(size + 1, dtype=torch.int32, device=model.device)
        self.offsets = self.starts * self.length
        # The slots that the next forward call writes, from the first; and the mask and width that it reads with.
        self.reading: slice | None = None
        self.mask: torch.Tensor | None = None
        self.positions: torch.Tensor | None = None
        self.shared = False
        self.used: torch.Tensor | None = None

    def for_prompts(self, first: int, count: int) -> None:
        """The next forward call reads whole prompts into `count` slots from `first`."""
        self.reading = slice(first, first + count)

    def for_tokens(self, positions: torch.Tensor, shared: bool = False) -> None:
        """The next forward call adds a token at each position: to a slot each, or all of them to the first.

        On a CPU, further rows attend to nothing.
        """
        self.reading, self.positions, self.shared = None, positions, shared
        if self.cache.is_cuda:
            self.used = (positions + 1).int()
            return
        width = min(-(-(int(positions.max()) + 1) // BLOCK) * BLOCK, self.length)
        seen = torch.arange(width) <= positions[:, None]
        self.mask = torch.zeros(seen.shape, dtype=self.cache.dtype).masked_fill_(~seen, float("-inf"))[:, None, None]

    def move(self, sources: list[int], targets: list[int]) -> None:
        """Copy slots over others: a layer at a time, for many slots at once are gigabytes."""
        for layer in self.cache:
            layer[:, targets] = layer[:, sources]
        self.filled[targets] = self.filled[sources]

    def attend(self, layer: int, query: Any, key: Any, value: Any, scale: float) -> Any:
        """Store, attend. Shapes: (batch, heads, tokens, dim) in, (batch, tokens, heads, dim) out."""
        keys, values = self.cache[layer]
        batch, heads, tokens, dim = query.shape
        groups = heads // key.shape[1]
        if self.reading is not None:
            keys[self.reading, :tokens] = key.transpose(1, 2)
            values[self.reading, :tokens] = value.transpose(1, 2)
            out = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=groups > 1)
            return out.transpose(1, 2)
        if query.is_cuda:
            keys[self.rows[:batch], self.filled[:batch]] = key[:, :, 0]
            values[self.rows[:batch], self.filled[:batch]] = value[:, :, 0]
            starts = self.starts[: batch + 1], self.offsets[: batch + 1]
            flat = (one[:batch].flatten(0, 1) for one in (keys, values))
            out = varlen_attention.flash(query[:, :, 0], *flat, starts, (1, self.longest), scale, False, self.used)
            return out[:, None]
        count, width = self.mask.shape[0], self.mask.shape[-1]
        slots = 0 if self.shared else self.rows[:count]
        keys[slots, self.positions] = key[:count, :, 0]
        values[slots, self.positions] = value[:count, :, 0]
        if self.shared:
            keys, values = (one[:1].expand(count, -1, -1, -1) for one in (keys, values))
        out = query.new_zeros(batch, heads // groups, groups, dim)
        # The queries of a group stand where a longer sequence would have its tokens: each attends to all of the slot.
        out[:count] = scaled_dot_product_attention(
            query[:count].view(count, heads // groups, groups, dim),
            keys[:count, :width].transpose(1, 2),
            values[:count, :width].transpose(1, 2),
            attn_mask=self.mask,
            scale=scale,
        )
        return out.view(batch, 1, heads, dim)


def _attention(
    module: Any, query: Any, key: Any, value: Any, mask: Any, *, scaling: Any = None, slots: Any = None, **more: Any
):
    bent = any(more.get(name) is not None for name in ("softcap", "sliding_window", "s_aux"))
    if bent or slots is None or {key.shape[1::2], value.shape[1::2]} != {slots.cache.shape[4:]}:
        raise generation_errors.OTHER_ATTENTION(model_type=module.config.model_type)
    return slots.attend(module.layer_idx, query, key, value, scaling), None


AttentionInterface.register(NAME, _attention)
