"""TRL's SFTTrainer, with a loss that also runs where there is no Triton (CPU builds of torch, macOS)."""

from typing import Any

import torch
from torch.nn.functional import cross_entropy
from trl import SFTTrainer


class CompletionTrainer(SFTTrainer):
    """SFTTrainer whose loss on a CPU is computed by torch alone.

    TRL 1.15 computes it by a Triton kernel, and there is no other path. This one gives the same number (mean negative
    log-likelihood of the completion tokens), and like TRL's projects to the vocabulary only where a token counts.
    """

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """Loss of a batch: sum over its completion tokens, divided by those of the whole optimizer step."""
        if torch.cuda.is_available():
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        targets = inputs["labels"][:, 1:]
        counted = targets != -100
        positions = counted.any(dim=0).nonzero().squeeze(1)
        # Without its mask a batch is the same, but faster: padding is on the right, where causal attention never looks.
        rest = {name: value for name, value in inputs.items() if name not in ("labels", "attention_mask")}
        outputs = model(**rest, logits_to_keep=positions, use_cache=False)
        logits = outputs.logits.flatten(0, 1).float()
        total = cross_entropy(logits, targets[:, positions].flatten(), ignore_index=-100, reduction="sum")
        loss = total / (counted.sum() if num_items_in_batch is None else num_items_in_batch)
        return (loss, outputs) if return_outputs else loss
