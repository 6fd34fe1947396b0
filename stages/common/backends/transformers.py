"""Hugging Face transformers and PEFT: any machine, CPU or GPU."""

from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.params.schema import Lora, Model


def for_answers(folder: Path, model: Model, adapter: Path | None, scale: float) -> Any:
    """The model in evaluation mode, the adapter merged into its 16- or 32-bit weights.

    The merge happens in the precision of the weights on disk and is rounded once, like the base model's own weights:
    at scale 0 the answers are the base model's to the byte. Into 4-bit weights nothing is merged.
    """
    import torch

    loaded = _load(folder, model, None if not model.load_in_4bit else torch.bfloat16)
    if adapter is not None:
        from peft import PeftModel

        loaded = PeftModel.from_pretrained(loaded, adapter, is_trainable=False)
        for module in loaded.modules():
            if hasattr(module, "scale_layer"):
                module.set_scale("default", scale)
        if not model.load_in_4bit:
            loaded = loaded.merge_and_unload(safe_merge=True)
    if not model.load_in_4bit:
        loaded = loaded.to(getattr(torch, model.dtype))
    return loaded.eval()


def for_training(folder: Path, model: Model, lora: Lora, seed: int, gradient_checkpointing: bool) -> Any:
    """The model with a new adapter on every module that `lora.target_modules` names; the adapter is in float32."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    loaded = _load(folder, model, getattr(torch, model.dtype))
    if model.load_in_4bit:
        loaded = prepare_model_for_kbit_training(loaded, use_gradient_checkpointing=gradient_checkpointing)
    torch.manual_seed(seed)
    try:
        return get_peft_model(loaded, LoraConfig(task_type="CAUSAL_LM", **lora.model_dump()))
    except ValueError as error:
        raise UserError(f"lora.target_modules: {' '.join(str(error).split())[:300]}") from None


def _load(folder: Path, model: Model, dtype: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    torch.set_num_threads(model.threads)
    on_gpu = torch.cuda.is_available()
    options: dict[str, Any] = {"dtype": dtype or "auto", "trust_remote_code": False, "use_safetensors": True}
    if model.load_in_4bit:
        if not on_gpu:
            raise UserError("model.load_in_4bit: true needs a CUDA GPU, and there is none: set it to false")
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, model.dtype),
        )
    if on_gpu:
        options["device_map"] = {"": 0}
    elif model.dtype != "float32" and not torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE")):
        print(f"model.dtype: {model.dtype} is slow on this CPU: float32 may be faster (and gives other answers)")
    return AutoModelForCausalLM.from_pretrained(folder, **options)
