"""Fine-tune a LoRA adapter on the training prompts; the loss counts the completions alone.

usage: python -m stages.finetune_lora
"""

import csv
import io
from functools import partial
from pathlib import Path

from stages.files import records
from stages.files.errors import path_in_errors
from stages.model import adapter, base_model, checks, load, memory
from stages.model.memory import training as step
from stages.params.schema import Params
from stages.runtime import costs, processor, resume, stage, tracking

TRAIN = Path("data/prompts/train.jsonl")
HELDOUT = Path("data/prompts/heldout.jsonl")
ADAPTER = Path("models/adapter")
TRAINING = Path("models/training/summary.json")
LOSS = Path("models/training/loss.csv")
COLUMNS = ["step", "epoch", "loss", "eval_loss", "learning_rate", "grad_norm"]


def main(params: Params) -> str:
    """Write the adapter, its metrics and the curve of its loss; returns the summary.

    Raises UserError where the environment cannot train by these params, and where the training diverges.
    """
    wandb_mode = tracking.mode()
    checks.optimizer(params.training.optim)
    tuned = load.for_training(params.model, params.lora, params.training.seed, params.training.gradient_checkpointing)

    from datasets import Dataset

    from stages.train import training_errors
    from stages.train.trainer import CompletionTrainer, LastStep

    if tuned.device.type != "cuda" and (params.training.padding_free or params.training.packing):
        print(training_errors.SLOW_WITHOUT_GPU)
    train = Dataset.from_list(examples(TRAIN))
    wandb_mode = tracking.start(wandb_mode)
    used = [params.model, params.prompt, params.lora, params.training]
    with resume.checkpoint_folder("finetune_lora", used, [TRAIN, HELDOUT]) as checkpoint_dir:
        trainer = CompletionTrainer(
            model=tuned,
            args=config(params),
            train_dataset=train,
            eval_dataset=Dataset.from_list(examples(HELDOUT)) if params.training.eval_strategy != "no" else None,
            processing_class=base_model.tokenizer(params.model),
            callbacks=[LastStep(), *tracking.callbacks(wandb_mode)],
            checkpoint_dir=checkpoint_dir,
        )
        lengths = [len(ids) for ids in train["input_ids"]]
        estimate = partial(step.estimate, tuned, lengths=lengths)
        with path_in_errors(checkpoint_dir), memory.watched(estimate, params, step.smaller(params)):
            result = trainer.train(resume_from_checkpoint=trainer.last_checkpoint())
        costs.work(trainer.tokens, result.metrics["train_runtime"])
        tracking.finish(wandb_mode)

        adapter.save(trainer.model, ADAPTER)
        history = trainer.state.log_history
        records.write_text(LOSS, curve(history))
        trainable, total = trainer.model.get_nb_trainable_parameters()
        training = {
            "mean_loss": round(trainer.mean_loss(), 4),
            "loss": next(row["loss"] for row in reversed(history) if "loss" in row),
            "eval_loss": next((row["eval_loss"] for row in reversed(history) if "eval_loss" in row), None),
            "steps": result.global_step,
            "rows": len(train),  # the trainer's own dataset may hold packs of them
            "trainable_parameters": trainable,
            "total_parameters": total,
            **processor.describe(),
        }
        records.write_json(TRAINING, training)
    return training_errors.SUMMARY.format(**training, wandb_mode=wandb_mode)


def examples(path: Path) -> list[records.Row]:
    """Prompts as the trainer takes them: token ids, and a mask of 1 on the completion; none of the test split."""
    return [
        {
            "input_ids": row["prompt_ids"] + row["completion_ids"],
            "completion_mask": [0] * len(row["prompt_ids"]) + [1] * len(row["completion_ids"]),
        }
        for row in records.read(path)
        if "completion_ids" in row and row.get("split") != "test"
    ]


def config(params: Params) -> "SFTConfig":  # noqa: F821 - imported late, as all of torch is
    """The trainer's arguments: those of params by their own names, and what follows from them."""
    import torch
    from trl import SFTConfig

    return SFTConfig(
        output_dir=".cache/trainer",
        save_strategy="no",
        report_to=[],  # W&B's callback is given beside it, guarded
        logging_nan_inf_filter=False,  # a loss that is not finite is to be seen
        use_cpu=not torch.cuda.is_available(),
        bf16=params.model.dtype == "bfloat16",
        fp16=params.model.dtype == "float16",
        per_device_eval_batch_size=params.training.per_device_train_batch_size,
        data_seed=params.training.seed,
        completion_only_loss=True,
        # format_prompts already held rows to this length; only packing cuts by it.
        max_length=params.prompt.max_length if params.training.packing else None,
        dataloader_pin_memory=torch.cuda.is_available(),
        **params.training.model_dump(),
    )


def curve(history: list[dict[str, float]]) -> str:
    """The trainer's log as CSV, a row a logged step."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in history if "loss" in row or "eval_loss" in row)
    return text.getvalue()


if __name__ == "__main__":
    stage.run("finetune_lora", main)
