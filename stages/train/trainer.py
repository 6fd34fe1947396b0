"""TRL's SFTTrainer, with a loss that runs anywhere and fits anywhere."""

import math
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from trl import SFTTrainer

from stages.model.ops import varlen_attention
from stages.model.ops.head import Head, native, same
from stages.train import loss, training_errors
from stages.train.checkpoints import Checkpoints


class LastStep(TrainerCallback):
    """Logs the last step too, where it is no multiple of `logging_steps`."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Ask for a row of the log after the last step."""
        control.should_log |= state.global_step >= state.max_steps
        return control


class CompletionTrainer(SFTTrainer):
    """SFTTrainer whose loss needs no Triton, keeps no logits, and takes rows laid end to end.

    TRL 1.15 computes its loss by a Triton kernel, and there is no other path. This one gives the same number: mean
    negative log-likelihood of the completion tokens.
    """

    tokens = 0  # trained on by this process, padding left out

    def __init__(self, *given: Any, args: Any, checkpoint_dir: Path | None = None, **named: Any) -> None:
        """SFTTrainer's arguments, and the folder for checkpoints: none are made without it."""
        args._n_gpu = min(args.n_gpu, 1)  # of several GPUs one trains: Trainer would enlarge the batch for all of them
        super().__init__(*given, args=args, **named)
        for weight in self.model.parameters():
            if weight.requires_grad:  # TRL makes them bfloat16 beside 4-bit weights; float16's gradient scaler cannot
                weight.data = weight.data.float()
        self.head = Head(self.model)
        if (self.args.padding_free or self.args.packing) and not self._rows_stay_apart():
            raise training_errors.ROWS_MIX(model_type=self.model.config.model_type)
        self.checkpoints = Checkpoints(checkpoint_dir)
        if checkpoint_dir is not None:
            self.args.output_dir = str(checkpoint_dir)
            self.add_callback(self.checkpoints)

    def last_checkpoint(self) -> str | None:
        """The folder of the checkpoint to go on from, for `train`; None to begin."""
        return self.checkpoints.last()

    def mean_loss(self) -> float:
        """Mean over all steps, from the log: Trainer's own leaves out an earlier process's steps."""
        total, step = 0.0, 0
        for row in self.state.log_history:
            if "loss" in row:
                total += row["loss"] * (row["step"] - step)
                step = row["step"]
        return total / step

    def training_step(self, *given: Any, **named: Any) -> torch.Tensor:
        """Train on a batch and sum its loss here too: Trainer's own sum is in no checkpoint."""
        summand = super().training_step(*given, **named)
        self.checkpoints.unlogged_loss = self.checkpoints.unlogged_loss + summand
        return summand

    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Loss of a batch: the sum over its completion tokens, by the number in the optimizer step."""
        targets = inputs["labels"][:, 1:]
        counted = targets != -100
        if model.training:
            self.tokens += int(inputs["attention_mask"].sum() if "attention_mask" in inputs else targets.numel())
        with self.accelerator.autocast():
            hidden = self._hidden(model, inputs)[:, :-1][counted]
            total = loss.negative_log_likelihood(hidden, self.head, targets[counted])
        mean = total / (counted.sum() if num_items_in_batch is None else num_items_in_batch)
        return (mean, None) if return_outputs else mean

    def _hidden(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """The last hidden states of a batch."""
        whole = model.get_base_model()
        # Without its mask a batch is the same, but faster: padding is on the right, where causal attention never looks.
        rows = {"input_ids": inputs["input_ids"]}
        if "position_ids" in inputs:
            rows["position_ids"] = inputs["position_ids"]
            if inputs["input_ids"].is_cuda and whole._supports_attention_backend:
                rows |= varlen_attention.boundaries(inputs["position_ids"])
        return whole.base_model(**rows, use_cache=False).last_hidden_state

    @torch.no_grad()
    def _rows_stay_apart(self) -> bool:
        """Whether a row laid after another has the states that it has alone: not in every family."""
        if not native(self.model.get_base_model()):
            return True
        row = torch.arange(1, 9, device=self.model.device)[None]
        positions = row.repeat(1, 2) - 1
        with self.accelerator.autocast():
            alone = self._hidden(self.model, {"input_ids": row, "position_ids": positions[:, :8]})
            together = self._hidden(self.model, {"input_ids": torch.cat([row + 8, row], 1), "position_ids": positions})
        return same(together[:, 8:], alone)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as TRL does. Raises UserError where the loss is not finite."""
        if "loss" in logs:
            logged = max((row["step"] for row in self.state.log_history if "loss" in row), default=0)
            logs["loss"] = float(self.checkpoints.unlogged_loss) / (self.state.global_step - logged)
            self.checkpoints.unlogged_loss = 0.0
        for name in ("loss", "eval_loss"):
            if not math.isfinite(logs.get(name, 0.0)):
                at = {"step": self.state.global_step, "learning_rate": self.args.learning_rate}
                raise training_errors.DIVERGED(name=name, value=logs[name], **at)
        super().log(logs, start_time)
