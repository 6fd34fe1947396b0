"""LoRA layers as one autograd function each: PEFT's arithmetic, without its copies.

y = x Wᵀ + s (x Aᵀ) Bᵀ (LoRA, Hu et al., 2021). PEFT's layer casts x up to the adapter's float32 and, under autocast,
down again for every projection, and autograd keeps each copy until the backward pass. Here x is kept once, as it came,
and the adapter is cast instead, which is a thousandth of its size. The weights of the adapter stay in float32.
"""

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import LoraLayer


def fuse(tuned: Any) -> int:
    """Replace the forward pass of a PEFT model's plain LoRA layers; returns how many."""
    layers = [module for module in tuned.modules() if isinstance(module, LoraLayer) and _is_plain(module)]
    for layer in layers:
        layer.forward = MethodType(_forward, layer)
    return len(layers)


def _is_plain(layer: Any) -> bool:
    """Whether a layer has no dropout, no bias in the adapter and no variant such as DoRA."""
    name = "default"
    base = layer.get_base_layer()
    return (
        list(layer.lora_A) == [name]
        and isinstance(layer.lora_dropout[name], torch.nn.Identity)
        and name not in layer.lora_variant
        and not layer.lora_bias[name]
        and isinstance(base, torch.nn.Linear)
        and base.bias is None
    )


def _forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    if layer.merged or layer.disable_adapters:
        return type(layer).forward(layer, x)
    weights = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return _LoraLinear.apply(x, *weights, layer.get_base_layer(), layer.scaling["default"])


def _dense(base: Any, dtype: torch.dtype) -> torch.Tensor:
    """The frozen weight, taken out of its four bits where it is kept in them. Shape: (out, in)."""
    state = getattr(base.weight, "quant_state", None)
    if state is None:
        return base.weight.to(dtype)
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(base.weight.data, state).to(dtype)


class _LoraLinear(torch.autograd.Function):
    """Shapes: x (..., in), a (r, in), b (out, r); returns (..., out) in the type of x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, base: Any, scale: float) -> torch.Tensor:
        dtype = base.compute_dtype if getattr(base, "compute_dtype", None) else base.weight.dtype
        flat = x.reshape(-1, x.shape[-1]).to(dtype)
        with torch.autocast(x.device.type, enabled=False):
            low = flat @ a.to(dtype).T
            out = flat @ _dense(base, dtype).T
            out.addmm_(low, b.to(dtype).T, alpha=scale)
        ctx.save_for_backward(flat, low, a, b)
        ctx.base, ctx.scale, ctx.like = base, scale, (x.shape, x.dtype)
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        flat, low, a, b = ctx.saved_tensors
        shape, dtype = ctx.like
        with torch.autocast(flat.device.type, enabled=False):
            out = gradient.reshape(-1, gradient.shape[-1]).to(flat.dtype)
            down = (out @ b.to(flat.dtype)).mul_(ctx.scale)
            into_a = (down.T @ flat).to(a.dtype)
            into_b = (out.T @ low).to(b.dtype).mul_(ctx.scale)
            into_x = None
            if ctx.needs_input_grad[0]:
                into_x = out @ _dense(ctx.base, flat.dtype)
                into_x.addmm_(down, a.to(flat.dtype))
                into_x = into_x.view(shape).to(dtype)
        return into_x, into_a, into_b, None, None
