"""Unsloth: faster, smaller 4-bit LoRA on one GPU; imported late, for that needs the GPU."""

import os
from pathlib import Path
from typing import Any

from stages.model import model_errors
from stages.params.schema import Lora, Model


def load_to_answer(folder: Path, model: Model) -> Any:
    """The base model in the dtype that it is computed in, or in 4-bit."""
    fast = _fast_language_model()

    import torch

    loaded, _ = fast.from_pretrained(
        str(folder),
        dtype=getattr(torch, model.dtype),
        load_in_4bit=model.load_in_4bit,
        device_map={"": 0},
        trust_remote_code=False,
    )
    return loaded


load_to_train = load_to_answer


def ready_to_answer(loaded: Any, model: Model, merge_tolerance: float) -> Any:
    """The model in Unsloth's inference mode, an adapter beside its weights where there is one: never merged."""
    _fast_language_model().for_inference(loaded)
    return loaded.eval()


def with_new_adapter(loaded: Any, model: Model, lora: Lora, seed: int, gradient_checkpointing: bool) -> Any:
    """The model with a new adapter, checkpointed in Unsloth's way where asked for."""
    _lend_flash_attention(loaded.dtype)
    return _fast_language_model().get_peft_model(
        loaded,
        bias="none",
        random_state=seed,
        use_gradient_checkpointing="unsloth" if gradient_checkpointing else False,
        **lora.model_dump(),
    )


def _lend_flash_attention(dtype: Any) -> None:
    """Serve Unsloth's calls of flash-attn by torch's copy, where it is not installed and the card can run it."""
    # Without it, Unsloth's dense mask over all rows of a batch: 1.1 times the notebook's speed, not 2.7.
    from unsloth.utils import attention_dispatch

    from stages.model.ops import varlen_attention

    if attention_dispatch.HAS_FLASH_ATTENTION or not varlen_attention.has_flash(dtype):
        return

    # The signature is flash-attn's.
    def flash_attn_varlen_func(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, **options):
        scale = options.get("softmax_scale") or q.shape[-1] ** -0.5
        bounds = (cu_seqlens_q, cu_seqlens_k), (max_seqlen_q, max_seqlen_k)
        return varlen_attention.flash(q, k, v, *bounds, scale, options.get("causal", False))

    attention_dispatch.flash_attn_varlen_func = flash_attn_varlen_func
    attention_dispatch.HAS_FLASH_ATTENTION = True


def _fast_language_model() -> Any:
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
    try:
        from unsloth import FastLanguageModel
    except ImportError as error:
        raise model_errors.UNSLOTH_BROKEN(error=error) from None
    return FastLanguageModel
