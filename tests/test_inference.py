"""Answers are greedy, in order, the same in a batch as alone, and the same for both arms but for the adapter."""

import ast
import json
from pathlib import Path

import pytest
import torch

from stages import baseline_infer, post_infer
from stages.files import records
from stages.files.errors import UserError
from stages.generate import answers, likelihood
from tests.conftest import ROOT, save_adapter


@pytest.fixture
def workspace(tiny, tiny_tokenizer, prompts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"id": str(index), "set": "heldout", "prompt_ids": ids} for index, ids in enumerate(prompts)]
    records.write(answers.PROMPTS, rows)
    save_adapter(tiny, post_infer.ADAPTER)
    return tmp_path


def test_rows_are_written_in_the_order_of_the_prompts(workspace, tiny):
    baseline_infer.main(tiny)
    rows = list(records.read(baseline_infer.ANSWERS))
    assert [row["id"] for row in rows] == [str(index) for index in range(6)]
    assert {key for row in rows for key in row} == {"id", "set", "text", "tokens", "finish_reason"}


def test_an_adapter_scaled_to_nothing_changes_no_byte(workspace, tiny):
    baseline_infer.main(tiny)
    post_infer.main(tiny.model_copy(update={"adapter": tiny.adapter.model_copy(update={"scale": 0.0})}))
    assert post_infer.ANSWERS.read_bytes() == baseline_infer.ANSWERS.read_bytes()
    post_infer.main(tiny)
    assert post_infer.ANSWERS.read_bytes() != baseline_infer.ANSWERS.read_bytes()


def test_the_two_stages_differ_in_the_adapter_alone():
    def calls(name):
        tree = ast.parse((ROOT / f"stages/{name}.py").read_text(encoding="utf-8"))
        return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]

    (before,) = [call for call in calls("baseline_infer") if ast.unparse(call.func) == "inference.answer"]
    (after,) = [call for call in calls("post_infer") if ast.unparse(call.func) == "inference.answer"]
    assert [ast.unparse(one) for one in before.args] == [ast.unparse(one) for one in after.args]
    assert not before.keywords
    assert {one.arg for one in after.keywords} == {"adapter", "scale"}


def test_the_reference_loss_is_the_mean_over_the_completion_whatever_the_batch(base, prompts, tmp_path):
    rows = [{"prompt_ids": ids, "completion_ids": ids[1:9]} for ids in prompts] + [{"prompt_ids": prompts[0]}]
    *losses, nothing = likelihood.reference_losses(base, rows, tmp_path)
    assert nothing is None
    for ids, loss in zip(prompts, losses, strict=True):
        logits = base(torch.tensor([ids + ids[1:9]])).logits[0, len(ids) - 1 : -1]
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:9])).item()
        assert loss == pytest.approx(expected, abs=1e-5)


def test_a_prompt_too_long_for_the_model_is_one_clear_line(workspace, tiny):
    endless = tiny.generation.model_copy(update={"max_new_tokens": 130_000})
    with pytest.raises(UserError, match=r"generation\.max_new_tokens: 130000 .* lower it"):
        baseline_infer.main(tiny.model_copy(update={"generation": endless}))


def test_an_adapter_is_safetensors_and_a_sorted_config_alone(workspace):
    names = sorted(path.name for path in Path("models/adapter").iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads(Path("models/adapter/adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])
    assert str(workspace) not in json.dumps(config)
