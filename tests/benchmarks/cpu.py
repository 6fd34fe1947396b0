"""The committed run against the notebooks' way of doing the same job, on this machine's processor.

usage: python -m tests.benchmarks.cpu          (make bench; needs the files of a run: `dvc repro` first)

The notebooks' way: float32, one question at a time through `generate`, padded batches through transformers' Trainer.
Both ways do a part of the job, the first steps left out, and the whole is extrapolated from it: questions times seconds
a question for both arms, rows times seconds a row. Loading a model and everything else that is the same is left out.
"""

import json
import sys
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

from stages import baseline_infer, finetune_lora, params
from stages.files import records
from stages.generate import answers
from stages.model import base_model, load
from stages.params.schema import Params
from tests.benchmarks import table

QUESTIONS = 3
ROWS = 24
WARM_UP = 8


class Clock(TrainerCallback):
    """When each optimizer step ended."""

    def __init__(self) -> None:
        """No step yet."""
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())

    def seconds_a_row(self, batch: int) -> float:
        """Mean over the steps after the first ones."""
        warm = WARM_UP // batch
        return (self.times[-1] - self.times[warm - 1]) / (len(self.times) - warm) / batch


def prompts() -> list[records.Row]:
    """The committed run's questions: those of the validation split."""
    rows = [row for path in baseline_infer.PROMPTS for row in records.read(path)]
    return [row for row in rows if row.get("split") != "test"]


def notebook_answers(checked: Params) -> float:
    """Seconds a question."""
    plain = AutoModelForCausalLM.from_pretrained(base_model.folder(checked.model), dtype=torch.float32)
    new = checked.generation.max_new_tokens
    start = time.perf_counter()
    for row in prompts()[:QUESTIONS]:
        plain.generate(input_ids=torch.tensor([row["prompt_ids"]]), max_new_tokens=new, do_sample=False)
    return (time.perf_counter() - start) / QUESTIONS


def our_answers(checked: Params) -> float:
    """Seconds a question, over one batch of them, the reference loss included."""
    model = answers.load_model(checked)
    asked = prompts()[: checked.generation.batch_size]
    start = time.perf_counter()
    answers.answer(model, asked, checked, {})
    return (time.perf_counter() - start) / len(asked)


def notebook_training(checked: Params) -> float:
    """Seconds a row: PEFT's layers in float32, batches padded to their longest row, logits for every token."""
    from peft import LoraConfig, get_peft_model

    plain = AutoModelForCausalLM.from_pretrained(base_model.folder(checked.model), dtype=torch.float32)
    lora = checked.lora.model_dump() | {"layers_to_transform": None}
    batch = checked.training.per_device_train_batch_size
    clock = Clock()
    arguments = TrainingArguments(
        output_dir=".cache/benchmark",
        per_device_train_batch_size=batch,
        max_steps=(WARM_UP + ROWS) // batch,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        remove_unused_columns=False,
    )
    rows = finetune_lora.examples(finetune_lora.TRAIN)[: WARM_UP + ROWS]
    tuned = get_peft_model(plain, LoraConfig(task_type="CAUSAL_LM", **lora))
    Trainer(model=tuned, args=arguments, train_dataset=rows, data_collator=padded, callbacks=[clock]).train()
    return clock.seconds_a_row(batch)


def padded(rows: list[records.Row]) -> dict[str, torch.Tensor]:
    """A batch as the notebooks have it: padded, under a mask, the loss on every token."""
    ids = [torch.tensor(row["input_ids"]) for row in rows]
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "input_ids": pad(ids, batch_first=True),
        "attention_mask": pad([torch.ones_like(one) for one in ids], batch_first=True),
        "labels": pad(ids, batch_first=True, padding_value=-100),
    }


def our_training(checked: Params) -> float:
    """Seconds a row, as finetune_lora trains."""
    from datasets import Dataset

    from stages.train.trainer import CompletionTrainer

    batch, clock = checked.training.per_device_train_batch_size, Clock()
    checked = checked.model_copy(
        update={"training": checked.training.model_copy(update={"max_steps": (WARM_UP + 2 * ROWS) // batch})}
    )
    CompletionTrainer(
        model=load.for_training(checked.model, checked.lora, 0, checked.training.gradient_checkpointing),
        args=finetune_lora.config(checked),
        train_dataset=Dataset.from_list(finetune_lora.examples(finetune_lora.TRAIN)[: WARM_UP + 2 * ROWS]),
        processing_class=base_model.tokenizer(checked.model),
        callbacks=[clock],
    ).train()
    return clock.seconds_a_row(batch)


def main() -> None:
    """Run the four parts, print their table, write the JSON."""
    checked = params.load()
    asked, rows = len(prompts()), sum(1 for _ in records.read(finetune_lora.TRAIN))
    seconds = {name: table.part("tests.benchmarks.cpu", name)["seconds"] for name in PARTS}
    lines = []
    for work, count in (("answers", 2 * asked), ("training", rows)):
        notebook, ours = (count * seconds[f"{who}_{work}"] for who in ("notebook", "our"))
        unit = "answers, both arms" if work == "answers" else "training rows"
        lines.append({"work": f"{count} {unit}", "notebook, s": notebook, "here, s": ours, "ratio": notebook / ours})
    whole = [sum(line[who] for line in lines) for who in ("notebook, s", "here, s")]
    lines.append({"work": "both", "notebook, s": whole[0], "here, s": whole[1], "ratio": whole[0] / whole[1]})
    table.show(lines)
    print(f"written to {table.write({'threads': checked.model.threads, 'lines': lines})}")


PARTS = {one.__name__: one for one in (notebook_answers, our_answers, notebook_training, our_training)}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        loaded = params.load()
        torch.set_num_threads(loaded.model.threads)
        print(table.RESULT + json.dumps({"seconds": PARTS[sys.argv[1]](loaded)}))
    else:
        main()
