"""Unsloth: faster and smaller 4-bit LoRA on one GPU. Imported only where params ask for it: importing needs a GPU."""

from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.params.schema import Lora, Model


def for_answers(folder: Path, model: Model, adapter: Path | None, scale: float) -> Any:
    """The model in Unsloth's inference mode, with the adapter times `scale` beside its weights where one is given."""
    fast = _fast_language_model()
    loaded = _load(fast, folder, model)
    if adapter is not None:
        from peft import PeftModel

        loaded = PeftModel.from_pretrained(loaded, adapter, is_trainable=False)
        for module in loaded.modules():
            if hasattr(module, "set_scale"):
                module.set_scale("default", scale)
    fast.for_inference(loaded)
    return loaded.eval()


def for_training(folder: Path, model: Model, lora: Lora, seed: int, gradient_checkpointing: bool) -> Any:
    """The model with a new adapter, checkpointed in Unsloth's way where asked for."""
    fast = _fast_language_model()
    return fast.get_peft_model(
        _load(fast, folder, model),
        bias="none",
        random_state=seed,
        use_gradient_checkpointing="unsloth" if gradient_checkpointing else False,
        **lora.model_dump(),
    )


def _fast_language_model() -> Any:
    import os

    import torch

    if not torch.cuda.is_available():
        raise UserError("model.backend: unsloth needs a CUDA GPU, and there is none here: set it to transformers")
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
    try:
        from unsloth import FastLanguageModel
    except ImportError as error:
        raise UserError(f"model.backend: unsloth cannot be imported ({error}): make install-gpu") from None
    return FastLanguageModel


def _load(fast: Any, folder: Path, model: Model) -> Any:
    import torch

    loaded, _ = fast.from_pretrained(
        str(folder), dtype=getattr(torch, model.dtype), load_in_4bit=model.load_in_4bit, trust_remote_code=False
    )
    return loaded
