"""The loss of a frozen output layer, by chunks of tokens, with the logits of one at a time.

With a vocabulary of 128,000, the logits of one batch and their gradient are the largest thing in memory by far. The
layer is frozen, so the gradient into the hidden states is all there is, and is made on the way (Cut Your Losses in
Large-Vocabulary Language Models, Wijmans et al., 2024, has the idea; this is its plain form).
"""

from typing import Any

import torch

CHUNK = 256


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(hidden), CHUNK):
                chunk = slice(start, start + CHUNK)
                logits = (hidden[chunk] @ weight.T).float()
                norm = logits.logsumexp(-1, keepdim=True)
                total += (norm - logits.gather(1, targets[chunk, None])).sum()
                if gradient is None:
                    continue
                # The gradient of a log-likelihood: the distribution, less one at the target.
                logits.sub_(norm).exp_()
                logits.scatter_add_(1, targets[chunk, None], -torch.ones_like(norm))
                gradient[chunk] = logits.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, factor: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (gradient * factor).to(gradient.dtype), None, None


def negative_log_likelihood(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum, in nats. Shapes: hidden (tokens, width), weight (vocab, width), targets (tokens)."""
    return _ChunkedLoss.apply(hidden.to(weight.dtype), weight, targets)
