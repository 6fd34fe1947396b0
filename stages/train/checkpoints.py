"""Checkpoints of a training that may be killed: the run that goes on from one ends in the bytes of one left alone.

The trainer's own are pickles, and lack what the log sums up between two of its rows. These are safetensors and JSON.
"""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from trl import SFTTrainer

from stages.files import records
from stages.files.errors import naming
from stages.runtime import resume

# At most this share of the steps, or one step, is trained again. It changes no result.
SHARE = 1 / 10
TENSORS = "tensors.safetensors"
REST = "rest.json"


class Checkpoints(TrainerCallback):
    """Asks the trainer to save as soon as SHARE of all steps is not saved yet.

    At the last step of an epoch that is after its end, where the evaluation and the log of the epoch are done.
    """

    def __init__(self) -> None:
        """Nothing saved, and nothing to go on from."""
        self.saved = 0
        self.rng: Any = None  # as the epoch began: the order of its rows may come from it
        self.loaded: Any = None  # the REST of the checkpoint that the run goes on from, until its epoch begins

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the random numbers' state, or set it to what it was when this epoch began in the run before."""
        if self.loaded is not None:
            set_rng(self.loaded["epoch_rng"])
            self.saved, self.loaded = state.global_step, None
        self.rng = rng()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Ask within an epoch."""
        control.should_save |= self._due(state) and not ends_epoch(state)
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Ask after an epoch."""
        control.should_save |= self._due(state)
        return control

    def _due(self, state: Any) -> bool:
        step = state.global_step
        return step < state.max_steps and step - self.saved >= max(1, int(state.max_steps * SHARE))


class CheckpointedTrainer(SFTTrainer):
    """SFTTrainer that keeps its last checkpoint in a folder, and goes on from it."""

    def __init__(self, *given: Any, place: Path | None = None, **named: Any) -> None:
        """SFTTrainer's arguments, and the folder for checkpoints: none are made without it."""
        super().__init__(*given, **named)
        self._place = place
        self._checkpoints = Checkpoints()
        if self._place is not None:
            self.add_callback(self._checkpoints)

    def last_checkpoint(self) -> str | None:
        """The folder of the checkpoint to go on from, for `train`; None to begin."""
        for folder in sorted(self._place.glob("step-*"), reverse=True) if self._place is not None else ():
            if resume.intact(folder):
                return str(folder)
            resume.remove(folder)
        return None

    def _trainable(self) -> dict[str, torch.Tensor]:
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a folder beside its place, rename it, and remove the one before."""
        tensors = {f"weight.{name}": weight.data for name, weight in self._trainable().items()}
        numbers: dict[str, dict[str, Any]] = {}
        for number, values in self.optimizer.state_dict()["state"].items():
            for name, value in unwrapped(values):
                if isinstance(value, torch.Tensor):
                    # A copy: 8-bit optimizers share their tables, which safetensors does not write twice.
                    tensors[f"optimizer.{number}.{name}"] = value.clone()
                else:
                    numbers.setdefault(str(number), {})[name] = value
        now = rng()
        rest = {
            "optimizer": numbers,
            "scheduler": self.lr_scheduler.state_dict(),
            "scaler": self.accelerator.scaler and self.accelerator.scaler.state_dict(),
            "rng": now,
            "epoch_rng": now if ends_epoch(self.state) else self._checkpoints.rng,
            # Summed up since the last row of the log, at the last row, and when that was.
            "loss": self._tr_loss.item(),
            "total_loss": self._total_loss_scalar,
            "logged": self._globalstep_last_logged,
        }
        partial = self._place / "partial"
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir()
        with naming(self._place, partial):
            save_file(tensors, partial / TENSORS)
        records.write_text(partial / REST, json.dumps(rest))
        self.state.save_to_json(str(partial / TRAINER_STATE_NAME))
        for path in (partial / TENSORS, partial / TRAINER_STATE_NAME, partial):
            records.sync(path)
        before = list(self._place.glob("step-*"))
        partial.rename(self._place / f"step-{self.state.global_step:08}-{resume.digest(partial)}")
        records.sync(self._place)
        for folder in before:
            resume.remove(folder)
        self._checkpoints.saved = self.state.global_step

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Set the weights, as the first thing of `train`."""
        folder = Path(resume_from_checkpoint)
        self._checkpoints.loaded = json.loads((folder / REST).read_text(encoding="utf-8"))
        tensors = load_file(folder / TENSORS)
        with torch.no_grad():
            for name, weight in self._trainable().items():
                weight.copy_(tensors[f"weight.{name}"])

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Set the optimizer's moments and the schedule, which the trainer has just made."""
        if checkpoint is None:
            return
        rest = self._checkpoints.loaded
        state: dict[int, dict[str, Any]] = {int(number): values for number, values in rest["optimizer"].items()}
        for name, tensor in load_file(Path(checkpoint) / TENSORS).items():
            kind, number, key = (*name.split(".", 2), "")[:3]
            if kind == "optimizer":
                state.setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.lr_scheduler.load_state_dict(rest["scheduler"])
        for group, rate in zip(self.optimizer.param_groups, self.lr_scheduler.get_last_lr(), strict=True):
            group["lr"] = rate

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Set the scale of float16's gradients."""
        if checkpoint is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(self._checkpoints.loaded["scaler"])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Set the random numbers' state, and the sums of the log: the trainer's last act before the first step."""
        if checkpoint is None:
            return
        rest = json.loads((Path(checkpoint) / REST).read_text(encoding="utf-8"))
        set_rng(rest["rng"])
        self._tr_loss.fill_(rest["loss"])
        self._total_loss_scalar = rest["total_loss"]
        self._globalstep_last_logged = rest["logged"]


def unwrapped(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """An optimizer's state of one weight, without the inner dictionary in which bitsandbytes hides its tensors."""
    for name, value in values.items():
        yield from value.items() if isinstance(value, dict) else [(name, value)]


def ends_epoch(state: Any) -> bool:
    """Whether the last step was the last of its epoch."""
    return float(state.epoch).is_integer()


def rng() -> dict[str, Any]:
    """The state of every source of random numbers, as JSON."""
    kind, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],
        "torch": torch.get_rng_state().tolist(),
        "cuda": [state.tolist() for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
    }


def set_rng(state: dict[str, Any]) -> None:
    """Set what `rng` gave."""
    kind, numbers, gauss = state["python"]
    random.setstate((kind, tuple(numbers), gauss))
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if state["cuda"]:
        torch.cuda.set_rng_state_all([torch.tensor(one, dtype=torch.uint8) for one in state["cuda"]])
