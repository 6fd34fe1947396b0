"""Checkpoints of a training: resumed from one, it ends in the bytes of one left alone.

Trainer writes and reads them. Here is what it lacks: when to save, a digest, and two values that it forgets.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from stages.files import records
from stages.runtime import resume

# At most this share of the steps, or one step, is trained again. It changes no result.
SHARE = 1 / 10
EXTRA = "extra.pt"


class Checkpoints(TrainerCallback):
    """Asks Trainer to save every SHARE of the steps, and keeps the last checkpoint in a folder."""

    def __init__(self, folder: Path | None) -> None:
        """Keep checkpoints in `folder`."""
        self.folder = folder
        self.unlogged_loss: float | torch.Tensor = 0.0  # summed since the last row of the log
        self.epoch_rng: torch.Tensor | None = None  # as the epoch began: group_by_length draws its order from it

    def last(self) -> str | None:
        """The folder of the last intact checkpoint, or None; damaged ones are removed."""
        for partial in self.folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
            shutil.rmtree(partial)
        for folder in sorted(self.folder.glob("step-*"), reverse=True):
            if resume.intact(folder):
                self.unlogged_loss, self.epoch_rng = torch.load(folder / EXTRA, weights_only=True)
                return str(folder)
            resume.remove(folder)
        return None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Draw the checkpoint's epoch as before; Trainer skips its batches, then sets its state."""
        if self.epoch_rng is not None:
            torch.set_rng_state(self.epoch_rng)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the state of the random numbers."""
        self.epoch_rng = torch.get_rng_state()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Ask within an epoch."""
        control.should_save = is_due(state) and not ends_epoch(state)
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Ask after an epoch: only then is its evaluation done."""
        control.should_save = is_due(state)
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Rename what Trainer wrote, with its digest in the name; remove the last checkpoint."""
        written = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        epoch_rng = torch.get_rng_state() if ends_epoch(state) else self.epoch_rng
        torch.save([float(self.unlogged_loss), epoch_rng], written / EXTRA)
        for path in (*written.iterdir(), written):
            records.sync(path)
        before = list(self.folder.glob("step-*"))
        written.rename(self.folder / f"step-{state.global_step:08}-{resume.digest(written)}")
        records.sync(self.folder)
        for folder in before:
            resume.remove(folder)


def is_due(state: Any) -> bool:
    """Whether to save after this step: not the last, where Trainer would train a step more."""
    every = max(1, int(state.max_steps * SHARE))
    return state.global_step % every == 0 and state.global_step < state.max_steps


def ends_epoch(state: Any) -> bool:
    """Whether the last step was the last of its epoch."""
    return float(state.epoch).is_integer()
