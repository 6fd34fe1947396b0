"""The loss counts the completions alone, and is the number that TRL's own path would give."""

import csv
import json
import os
from unittest import mock

import pytest
import torch
from transformers import TrainerCallback

from stages import finetune_lora
from stages.data.prompts import Formatter
from stages.files import records
from stages.files.errors import UserError
from stages.model import adapter, checks, load
from stages.runtime import tracking
from stages.train.trainer import CompletionTrainer

ROWS = [
    {"id": str(n), "set": "train", "question": f"Question {n}?", "reasoning": "why " * n, "response": f"Answer {n}."}
    for n in range(1, 9)
]


@pytest.fixture
def workspace(tiny, tiny_tokenizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = Formatter(tiny_tokenizer, tiny.prompt).examples(ROWS)
    records.write(finetune_lora.TRAIN, examples)
    records.write(finetune_lora.HELDOUT, examples[:2])
    return tmp_path


def changed(tiny, **training):
    return tiny.model_copy(update={"training": tiny.training.model_copy(update=training)})


@pytest.fixture
def trainer(workspace, tiny, tiny_tokenizer):
    from datasets import Dataset

    return CompletionTrainer(
        model=load.for_training(tiny.model, tiny.lora, 0, False),
        args=finetune_lora.config(tiny),
        train_dataset=Dataset.from_list(finetune_lora.examples(finetune_lora.TRAIN)),
        processing_class=tiny_tokenizer,
    )


def test_labels_cover_the_completion_and_its_stop_token_and_no_prompt(trainer, tiny_tokenizer):
    batch = trainer.data_collator([trainer.train_dataset[0], trainer.train_dataset[7]])
    for index, row in ((0, ROWS[0]), (1, ROWS[7])):
        counted = batch["labels"][index][batch["labels"][index] != -100].tolist()
        assert tiny_tokenizer.decode(counted) == (f"<think>\n{row['reasoning']}\n</think>\n{row['response']}<|im_end|>")


def test_no_question_of_the_test_split_is_seen(workspace):
    rows = list(records.read(finetune_lora.TRAIN))
    splits = ("validation", "test", "validation")
    records.write(finetune_lora.HELDOUT, [{**row, "split": split} for row, split in zip(rows, splits, strict=False)])
    seen, _, last = finetune_lora.examples(finetune_lora.TRAIN)[:3]
    assert finetune_lora.examples(finetune_lora.HELDOUT) == [seen, last]


def test_the_loss_is_the_mean_over_completion_tokens(trainer):
    batch = trainer.data_collator([trainer.train_dataset[index] for index in (0, 3, 7)])
    logits = trainer.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    expected = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100
    )
    assert trainer.compute_loss(trainer.model, dict(batch)).item() == pytest.approx(expected.item(), rel=1e-5)
    halved = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=2 * (batch["labels"] != -100).sum())
    assert halved.item() == pytest.approx(expected.item() / 2, rel=1e-2)


def test_the_prompt_tokens_get_no_gradient_of_their_own(trainer):
    batch = trainer.data_collator([trainer.train_dataset[2]])
    changed = {key: value.clone() for key, value in batch.items()}
    first = (batch["labels"][0] != -100).nonzero()[0].item()
    changed["labels"][0, first:] = -100
    changed["labels"][0, first] = batch["labels"][0, first]
    one = trainer.compute_loss(trainer.model, dict(changed)).item()
    logits = trainer.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert one == pytest.approx(-logits[0, first - 1].log_softmax(-1)[batch["labels"][0, first]].item(), rel=1e-5)


@pytest.mark.parametrize("strategy", ["no", "epoch"])
def test_a_run_writes_adapter_metrics_and_curve(workspace, tiny, strategy):
    training = tiny.training.model_copy(
        update={"eval_strategy": strategy, "per_device_train_batch_size": 4, "num_train_epochs": 1}
    )
    summary = finetune_lora.main(tiny.model_copy(update={"training": training}))
    metrics = json.loads(finetune_lora.TRAINING.read_text())
    assert metrics["steps"] == 2
    assert metrics["rows"] == 8
    assert (metrics["eval_loss"] is None) == (strategy == "no")
    assert 0 < metrics["trainable_parameters"] < metrics["total_parameters"]
    lines = finetune_lora.LOSS.read_text().splitlines()
    assert lines[0] == "step,epoch,loss,eval_loss,learning_rate,grad_norm"
    assert len([line for line in lines[1:] if line.split(",")[2]]) == 2
    assert "W&B disabled" in summary
    assert not list(workspace.rglob("*.bin"))
    assert not list(workspace.rglob("*.pt"))


def test_training_learns_and_repeats_to_the_byte(workspace, tiny):
    training = tiny.training.model_copy(update={"num_train_epochs": 20, "learning_rate": 1e-2})
    params = tiny.model_copy(update={"training": training})
    finetune_lora.main(params)
    first = {path.name: path.read_bytes() for path in finetune_lora.ADAPTER.iterdir()}
    losses = [float(line.split(",")[2]) for line in finetune_lora.LOSS.read_text().splitlines()[1:]]
    assert losses[-1] < losses[0] - 0.1
    finetune_lora.main(params)
    assert {path.name: path.read_bytes() for path in finetune_lora.ADAPTER.iterdir()} == first


def test_of_several_gpus_one_trains(workspace, tiny, monkeypatch):
    """Trainer takes a batch for each GPU that it sees and wraps the model."""
    finetune_lora.main(tiny)
    alone = {path: path.read_bytes() for path in (finetune_lora.ADAPTER / adapter.WEIGHTS, finetune_lora.TRAINING)}
    config = finetune_lora.config

    def with_two(params):
        arguments = config(params)
        arguments._n_gpu = 2
        return arguments

    monkeypatch.setattr(finetune_lora, "config", with_two)
    finetune_lora.main(tiny)
    assert {path: path.read_bytes() for path in alone} == alone


def test_an_adapter_beside_4_bit_weights_stays_in_float32(workspace, tiny, tiny_tokenizer):
    from datasets import Dataset

    tuned = load.for_training(tiny.model, tiny.lora, 0, False)
    tuned.is_loaded_in_4bit = True
    rows = Dataset.from_list(finetune_lora.examples(finetune_lora.TRAIN))
    CompletionTrainer(model=tuned, args=finetune_lora.config(tiny), train_dataset=rows, processing_class=tiny_tokenizer)
    assert {weight.dtype for weight in tuned.parameters() if weight.requires_grad} == {torch.float32}


def test_another_seed_gives_another_adapter(workspace, tiny):
    finetune_lora.main(tiny)
    weights = (finetune_lora.ADAPTER / "adapter_model.safetensors").read_bytes()
    finetune_lora.main(tiny.model_copy(update={"training": tiny.training.model_copy(update={"seed": 7})}))
    assert (finetune_lora.ADAPTER / "adapter_model.safetensors").read_bytes() != weights


def test_packed_rows_do_not_see_each_other(workspace, tiny, tiny_tokenizer):
    from datasets import Dataset

    training = tiny.training.model_copy(update={"packing": True, "per_device_train_batch_size": 1})
    rows = finetune_lora.examples(finetune_lora.TRAIN)
    trainer = CompletionTrainer(
        model=load.for_training(tiny.model, tiny.lora, 0, False),
        args=finetune_lora.config(tiny.model_copy(update={"training": training})),
        train_dataset=Dataset.from_list(rows[:2]),
        processing_class=tiny_tokenizer,
    )
    (packed,) = trainer.train_dataset
    assert len(packed["input_ids"]) == sum(len(row["input_ids"]) for row in rows[:2])
    together = trainer.compute_loss(trainer.model, dict(trainer.data_collator([packed])))
    total = count = 0
    for row in rows[:2]:
        first = row["completion_mask"].index(1)
        logits = trainer.model(input_ids=torch.tensor([row["input_ids"]])).logits[0, first - 1 : -1]
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(row["input_ids"][first:]), reduction="sum")
        count += len(row["input_ids"]) - first
    assert together.item() == pytest.approx((total / count).item(), rel=1e-5)


@pytest.mark.parametrize("epochs", [1, 0.3])
def test_a_run_shorter_than_the_logging_steps_still_has_a_loss(workspace, tiny, epochs):
    finetune_lora.main(changed(tiny, num_train_epochs=epochs, per_device_train_batch_size=4, logging_steps=50))
    metrics = json.loads(finetune_lora.TRAINING.read_text())
    (row,) = csv.DictReader(finetune_lora.LOSS.read_text().splitlines())
    assert int(row["step"]) == metrics["steps"] < 50
    assert float(row["loss"]) == metrics["loss"] == pytest.approx(metrics["mean_loss"], abs=1e-4)


def test_the_last_step_is_logged_once(workspace, tiny):
    for every, steps in ((1, ["1", "2", "3", "4"]), (2, ["2", "4"]), (3, ["3", "4"])):
        finetune_lora.main(changed(tiny, num_train_epochs=2, per_device_train_batch_size=4, logging_steps=every))
        assert [row["step"] for row in csv.DictReader(finetune_lora.LOSS.read_text().splitlines())] == steps


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_no_adapter(workspace, tiny, monkeypatch, value):
    whole = CompletionTrainer.compute_loss
    monkeypatch.setattr(
        CompletionTrainer,
        "compute_loss",
        lambda self, *given, **named: whole(self, *given, **named) * (1 if self.state.global_step < 2 else value),
    )
    line = rf"^training diverged: loss is {value} at step 3: lower training\.learning_rate \(it is 0\.02\)$"
    with pytest.raises(UserError, match=line):
        finetune_lora.main(changed(tiny, logging_steps=3))
    assert not finetune_lora.ADAPTER.exists()
    assert not finetune_lora.TRAINING.exists()


def test_weights_that_are_not_finite_are_not_saved(tiny, tmp_path):
    tuned = load.for_training(tiny.model, tiny.lora, 0, False)
    adapter.save(tuned, tmp_path / "adapter")
    before = (tmp_path / "adapter" / adapter.WEIGHTS).read_bytes()
    next(weight for name, weight in tuned.named_parameters() if "lora_B" in name).data[0, 0] = float("nan")
    with pytest.raises(
        UserError, match=r"^training diverged: .*lora_B.* is not finite: lower training\.learning_rate$"
    ):
        adapter.save(tuned, tmp_path / "adapter")
    assert (tmp_path / "adapter" / adapter.WEIGHTS).read_bytes() == before


def test_an_adapter_that_cannot_be_written_leaves_nothing_behind(tiny, tmp_path, monkeypatch):
    tuned = load.for_training(tiny.model, tiny.lora, 0, False)

    def full(folder, **_):
        folder.mkdir()
        (folder / "half").write_bytes(b"1234")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tuned, "save_pretrained", full)
    with pytest.raises(OSError, match="No space left"):
        adapter.save(tuned, tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("optim", ["adamw_8bit", "paged_adamw_8bit"])
def test_an_optimizer_without_its_library_is_one_line_before_the_model_is_loaded(workspace, tiny, monkeypatch, optim):
    monkeypatch.setattr(load, "for_training", None)
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    line = rf"^training\.optim: {optim} needs bitsandbytes, .*: make install-gpu, or set it to adamw_torch$"
    with pytest.raises(UserError, match=line):
        finetune_lora.main(changed(tiny, optim=optim))


def test_an_optimizer_whose_library_is_there_is_left_alone(monkeypatch):
    monkeypatch.setattr(checks, "find_spec", lambda name: object())
    checks.optimizer("adamw_8bit")


def test_packed_rows_are_counted_one_by_one(workspace, tiny):
    finetune_lora.main(changed(tiny, packing=True, num_train_epochs=1))
    assert json.loads(finetune_lora.TRAINING.read_text())["rows"] == 8


def test_a_wrong_wandb_mode_is_said_before_the_model_is_loaded(workspace, tiny, monkeypatch):
    monkeypatch.setattr(load, "for_training", None)
    monkeypatch.setenv("WANDB_MODE", "bogus")
    with pytest.raises(UserError, match="WANDB_MODE: 'bogus'"):
        finetune_lora.main(tiny)


def test_training_goes_on_when_tracking_fails(workspace, tiny, monkeypatch, capsys):
    class Broken(TrainerCallback):
        def on_log(self, *_, **__):
            raise ConnectionResetError("the client is gone")

    monkeypatch.setattr(tracking, "callbacks", lambda mode: [tracking.Guarded(Broken())])
    finetune_lora.main(tiny)
    assert (finetune_lora.ADAPTER / adapter.WEIGHTS).is_file()
    assert capsys.readouterr().out.count("W&B: the client is gone: training goes on without it\n") == 1


def test_an_offline_run_is_kept_in_the_folder_wandb(workspace, tiny):
    with mock.patch.dict(os.environ, WANDB_MODE="offline"):
        assert finetune_lora.main(tiny).endswith("; W&B offline")
    (run,) = workspace.glob("wandb/offline-run-*/run-*.wandb")
    assert b"train/global_step" in run.read_bytes()
