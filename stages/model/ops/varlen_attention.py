"""Attention over rows laid end to end instead of padded: torch's flash attention.

Imported, it is registered with transformers as `attn_implementation="varlen"`. Without row boundaries among the
arguments it is plain causal attention.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "varlen"


def plain(config: Any) -> bool:
    """Whether a model has plain attention: all of the past, no cap on its scores, no sinks."""
    config = config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ["sliding" if window else "full_attention"]
    return set(kinds) == {"full_attention"} and getattr(config, "attn_logit_softcapping", None) is None


def has_flash(dtype: torch.dtype) -> bool:
    """Whether flash attention runs here in `dtype`: in 16 bits, on a GPU of compute capability 8.0 or later."""
    return dtype.itemsize == 2 and torch.cuda.is_available() and torch.cuda.get_device_capability(0) >= (8, 0)


def boundaries(position_ids: torch.Tensor) -> dict[str, Any]:
    """Arguments of attention that say where rows start, from positions (1, tokens), 0 there.

    The first two are transformers' names; Unsloth's layers read the third.
    """
    positions = position_ids.flatten()
    starts = (positions == 0).nonzero().flatten()
    ends = torch.cat([starts, starts.new_tensor([len(positions)])]).int()
    lengths = ends.diff()
    return {"cu_seq_lens_q": ends, "max_length_q": int(lengths.max()), "packed_seq_lengths": lengths}


def flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: tuple[torch.Tensor, torch.Tensor],
    longest: tuple[int, int],
    scale: float,
    causal: bool,
    used: torch.Tensor | None = None,
) -> torch.Tensor:
    """Flash attention within each of the rows laid end to end. Shapes: (tokens, heads, dim).

    `starts` are (rows + 1) int32; pairs are for queries and keys; `used` are the keys of each row that count. This is
    the operator under torch.nn.attention.varlen, which takes grouped heads and `used` only since torch 2.12.
    """
    rows, options = (query, key, value, *starts, *longest), {"scale": scale, "seqused_k": used}
    return torch.ops.aten._flash_attention_forward(*rows, 0.0, causal, False, **options)[0]


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: Any,
    *,
    scaling: float,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
):
    """Shapes: (1, heads, tokens, dim) in, (1, tokens, heads, dim) out."""
    grouped = query.shape[1] != key.shape[1]
    if cu_seq_lens_q is None:
        out = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=grouped)
        return out.transpose(1, 2), None
    tokens = (one[0].transpose(0, 1) for one in (query, key, value))
    return flash(*tokens, (cu_seq_lens_q,) * 2, (max_length_q,) * 2, scaling, causal=True)[None], None


AttentionInterface.register(NAME, _attention)
