"""Hugging Face transformers and PEFT: any machine, CPU or GPU."""

import os
from pathlib import Path
from typing import Any

from stages.model import adapter, model_errors
from stages.params.schema import Lora, Model


def load_to_answer(folder: Path, model: Model) -> Any:
    """The base model in the precision of its weights on disk, or in 4-bit."""
    return _load(folder, model, model.dtype if model.load_in_4bit else "auto")


def ready_to_answer(loaded: Any, model: Model, merge_tolerance: float) -> Any:
    """The model in evaluation mode, an adapter on it merged where no more than the tolerance is lost.

    The merge happens in the precision of the weights on disk and is rounded once, like the base model's own weights:
    at scale 0 the answers are the base model's to the byte. Where more is lost, and in 4-bit, the adapter stays beside
    the weights, in the arithmetic of its training. Raises UserError where a merged weight is not finite.
    """
    import torch
    from peft import PeftModel

    from stages.model.ops import fused_lora

    if model.load_in_4bit:
        return loaded.eval()
    dtype = getattr(torch, model.dtype)
    if isinstance(loaded, PeftModel):
        lost = adapter.merge_error(loaded, dtype)
        text = model_errors.NOT_MERGED if lost > merge_tolerance else model_errors.MERGED
        print(text.format(lost=lost, dtype=model.dtype, tolerance=merge_tolerance))
        if lost > merge_tolerance:
            fused_lora.fuse(loaded)
        else:
            try:
                loaded = loaded.merge_and_unload(safe_merge=True)
            except ValueError as error:  # what safe_merge raises for NaN and infinity
                raise model_errors.MERGE_OVERFLOW(error=error) from None
    return loaded.to(dtype).eval()


def load_to_train(folder: Path, model: Model) -> Any:
    """The base model in the dtype that it is computed in, or in 4-bit."""
    return _load(folder, model, model.dtype)


def with_new_adapter(loaded: Any, model: Model, lora: Lora, seed: int, gradient_checkpointing: bool) -> Any:
    """The model with a new float32 adapter on its target modules; UserError where PEFT refuses."""
    import torch
    from peft import LoraConfig, get_peft_model

    from stages.model.ops import fused_lora, varlen_attention

    if varlen_attention.has_flash(loaded.dtype) and varlen_attention.plain(loaded.config):
        loaded.set_attn_implementation(varlen_attention.NAME)
    torch.manual_seed(seed)
    try:
        tuned = get_peft_model(loaded, LoraConfig(task_type="CAUSAL_LM", **lora.model_dump()))
    except ValueError as error:
        raise model_errors.UNSUPPORTED_TARGET(error=error) from None
    fused_lora.fuse(tuned)
    return tuned


def _load(folder: Path, model: Model, dtype: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    torch.set_num_threads(model.threads)
    # Rows of uneven length leave gaps in the allocator's fixed blocks: up to a tenth of the memory of a card.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    options: dict[str, Any] = {"dtype": dtype, "trust_remote_code": False, "use_safetensors": True}
    if model.load_in_4bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, model.dtype),
        )
    if torch.cuda.is_available():
        options["device_map"] = {"": 0}
    elif model.dtype != "float32" and not torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE")):
        print(model_errors.SLOW_DTYPE.format(dtype=model.dtype))
    loaded, found = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **options)
    if missing := sorted(found["missing_keys"]):  # transformers would fill them with random numbers
        raise ValueError(model_errors.WEIGHTS_MISSING.format(names=", ".join(missing[:3]) + ", …" * (len(missing) > 3)))
    if model.use_liger_kernel:
        from transformers.integrations.liger import apply_liger_kernel

        apply_liger_kernel(loaded, {"cross_entropy": False, "fused_linear_cross_entropy": False})
    return loaded
