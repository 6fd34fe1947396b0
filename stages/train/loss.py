"""The loss of a frozen head, by chunks of tokens, with the logits of one at a time.

With a vocabulary of 128,000, the logits of one batch and their gradient are the largest thing in memory by far. The
head is frozen, so the gradient into the hidden states is all there is, and is made on the way (Cut Your Losses in
Large-Vocabulary Language Models, Wijmans et al., 2024, has the idea; this is its plain form).
"""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from stages.model.ops.head import Head

CHUNK = 256


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
        weight = head.matrix
        total = torch.zeros((), device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(hidden), CHUNK):
                chunk = slice(start, start + CHUNK)
                if weight is None:  # a head that does more has its own derivative
                    with torch.set_grad_enabled(gradient is not None):
                        states = hidden[chunk].detach().requires_grad_(gradient is not None)
                        part = cross_entropy(head(states).float(), targets[chunk], reduction="sum")
                    total += part.detach()
                    if gradient is not None:
                        (gradient[chunk],) = torch.autograd.grad(part, states)
                    continue
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


def negative_log_likelihood(hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
    """Sum, in nats. Shapes: hidden (tokens, width), targets (tokens)."""
    return _ChunkedLoss.apply(hidden.to(head.dtype), head, targets)
