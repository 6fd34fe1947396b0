"""What a run will take is said before it starts, near what was measured; too much is one line with what would fit."""

from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig

from stages import params
from stages.files.errors import UserError
from stages.model import load, memory
from stages.model.memory import generation, training
from stages.params.__main__ import merged

# GB reserved by torch on an H100, for rows of 936 tokens in the mean: python -m tests.benchmarks.gpu
MEASURED = {"h100-8b": 54.9, "gpu-8b-24gb": 19.3}
LENGTHS = [936 - 290, 936 + 290] * 64


def eight_billion():
    """A stand-in with the sizes of the 8B and its adapter, and no memory of its own."""
    config = LlamaConfig(
        hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128, vocab_size=128256,
    )  # fmt: skip
    frozen = torch.empty(8_030_261_248, dtype=torch.bfloat16, device="meta")
    trained = torch.nn.Parameter(torch.empty(41_943_040, device="meta"))
    return SimpleNamespace(config=config, dtype=torch.bfloat16, parameters=lambda: [frozen, trained])


@pytest.mark.parametrize("preset", MEASURED)
def test_the_estimate_is_near_what_was_measured(preset):
    checked = params.check(merged(preset))
    estimate = sum(training.estimate(eight_billion(), checked, LENGTHS).values()) / memory.GB
    assert estimate == pytest.approx(MEASURED[preset], rel=0.1)


def test_too_much_memory_is_one_line_with_the_largest_settings_that_fit():
    checked = params.check(merged("h100-8b"))

    def estimate(changed):
        return training.estimate(eight_billion(), changed, LENGTHS)

    settings = training.smaller(checked)
    line = memory.advice(estimate, checked, settings, 40 * memory.GB)
    assert line.count("\n") == 0
    assert line.startswith("out of memory: it needs about 5")
    assert "set training.per_device_train_batch_size: 4, training.gradient_accumulation_steps: 2 (about 3" in line
    small = memory.advice(estimate, checked, settings, 22 * memory.GB)
    assert "training.gradient_checkpointing: true" in small
    assert "no smaller batch fits" in memory.advice(estimate, checked, settings, 8 * memory.GB)


def test_an_answering_batch_is_halved_until_it_fits():
    checked = params.check(merged("h100-8b"))

    def estimate(changed):
        return generation.estimate(eight_billion(), changed, 1000)

    line = memory.advice(estimate, checked, generation.smaller(checked), 48 * memory.GB)
    assert "set generation.batch_size: 64 (about" in line


def test_every_setting_keeps_the_rows_of_a_step():
    checked = params.check(merged("h100-8b"))
    rows = checked.training.per_device_train_batch_size * checked.training.gradient_accumulation_steps
    for changes in training.smaller(checked):
        changed = memory.changed(checked, changes).training
        assert changed.per_device_train_batch_size * changed.gradient_accumulation_steps == rows


def test_running_out_says_what_would_fit_and_other_errors_stay_theirs(tiny, capsys):
    tuned = load.for_training(tiny.model, tiny.lora, 0, False)

    def estimate(changed):
        return training.estimate(tuned, changed, [100] * 8)

    def fail(error):
        with memory.watched(estimate, tiny, training.smaller(tiny)):
            raise error

    with pytest.raises(UserError, match=r"^out of memory: it needs about .* GB.*: set training\.per_device"):
        fail(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert capsys.readouterr().out.startswith("memory: about 0.0 GB (weights 0.0, ")
    with pytest.raises(ValueError, match="a mistake"):
        fail(ValueError("a mistake"))
