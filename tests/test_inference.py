"""Answers come in order, a row a sample, by the same call for both arms but for the adapter."""

import ast
import json
import shutil
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
    for path, some in zip(baseline_infer.PROMPTS, (rows[:4], rows[4:]), strict=True):
        records.write(path, some)
    save_adapter(tiny, post_infer.ADAPTER)
    return tmp_path


def test_rows_are_written_in_the_order_of_the_prompts(workspace, tiny):
    baseline_infer.main(tiny)
    rows = list(records.read(baseline_infer.ANSWERS))
    assert [row["id"] for row in rows] == [str(index) for index in range(6)]
    keys = {"id", "set", "sample", "text", "tokens", "finish_reason", "thinking_cut"}
    assert {key for row in rows for key in row} == keys


def test_an_adapter_scaled_to_nothing_changes_no_byte(workspace, tiny):
    baseline_infer.main(tiny)
    post_infer.main(tiny.model_copy(update={"adapter": tiny.adapter.model_copy(update={"scale": 0.0})}))
    assert post_infer.ANSWERS.read_bytes() == baseline_infer.ANSWERS.read_bytes()
    post_infer.main(tiny)
    assert post_infer.ANSWERS.read_bytes() != baseline_infer.ANSWERS.read_bytes()


def test_the_two_stages_differ_in_the_adapter_alone():
    before, after = ((ROOT / f"stages/{name}.py").read_text("utf-8") for name in ("baseline_infer", "post_infer"))
    for theirs, ours in {
        '"post_infer"': '"baseline_infer"',
        "data/answers/post.jsonl": "data/answers/baseline.jsonl",
        'ADAPTER = Path("models/adapter")\n': "",
        "(params, adapter=ADAPTER, **params.adapter.model_dump())": "(params)",
        "[*answers.settings(params), params.adapter], [ADAPTER]": "answers.settings(params), []",
        "the fine-tuned model": "the base model",
    }.items():
        assert theirs in after
        after = after.replace(theirs, ours)
    for looked in (  # at the base model, before it is asked anything
        ", base_check, generation_errors",
        "    print(generation_errors.BASE_CHECK.format(bits=base_check.bits_per_byte(model)), flush=True)\n",
    ):
        assert looked in before
        before = before.replace(looked, "")
    code = [[ast.unparse(one) for one in ast.parse(text).body[1:]] for text in (before, after)]
    assert code[0] == code[1]


def test_the_reference_loss_is_the_mean_over_the_completion_whatever_the_batch(base, prompts, tmp_path):
    rows = [{"prompt_ids": ids, "completion_ids": ids[1:9]} for ids in prompts] + [{"prompt_ids": prompts[0]}]
    *losses, nothing = likelihood.reference_losses(base.network, rows, {})
    assert nothing is None
    for ids, loss in zip(prompts, losses, strict=True):
        logits = base.network(torch.tensor([ids + ids[1:9]])).logits[0, len(ids) - 1 : -1]
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


def test_only_new_questions_are_answered_and_the_bytes_are_those_of_a_run_from_nothing(workspace, tiny, monkeypatch):
    baseline_infer.main(tiny)
    asked = []
    whole = answers.generate

    def counted(model, prompts, generation, **given):
        asked.append(len(prompts))
        return whole(model, prompts, generation, **given)

    monkeypatch.setattr(answers, "generate", counted)
    evaluation = baseline_infer.PROMPTS[1]
    first = list(records.read(evaluation))
    free = {"id": "f", "set": "free", "prompt_ids": [*first[0]["prompt_ids"], 7]}
    for rows, new in ((first, 0), ([*first, free], 1), ([free, *first[1:]], 0), (first, 0)):
        records.write(evaluation, rows)
        asked.clear()
        baseline_infer.main(tiny)
        assert sum(asked) == new
        found = baseline_infer.ANSWERS.read_bytes()
        Path(".cache").rename("kept")
        baseline_infer.main(tiny)
        assert baseline_infer.ANSWERS.read_bytes() == found
        shutil.rmtree(".cache")
        Path("kept").rename(".cache")


def test_where_an_answer_depends_on_its_batch_only_its_own_chunk_is_answered_again(workspace, tiny):
    generation = tiny.generation.model_copy(update={"engine": "transformers", "chunk_size": 2})
    params = tiny.model_copy(update={"generation": generation})
    model = answers.load_model(params)
    rows = [row for path in baseline_infer.PROMPTS for row in records.read(path)]
    rows[4]["set"], rows[5]["set"] = "mine", "free"
    kept = {}
    before = answers.answer(model, rows, params, kept)
    more = {"id": "new", "set": "free", "prompt_ids": [1, 2, 3]}
    for changed, new in (([*rows, more], 1), (rows[:2] + rows[3:], 1), (rows[:4] + rows[5:], 0)):
        count = len(kept)
        after = answers.answer(model, changed, params, kept)
        assert len(kept) == count + new
        assert after == [one for one in before if one["id"] in {row["id"] for row in changed}] + after[len(rows) :]


SAMPLED = {"temperature": 0.9, "top_p": 0.95, "samples": 3, "max_new_tokens": 30, "max_thinking_tokens": 8}


@pytest.fixture
def sampled(tiny, prompts, tiny_tokenizer):
    """Params that sample within a budget, and rows of every kind: one opens its thinking, one is of the other split."""
    opened = prompts[1] + tiny_tokenizer("<think>\n", add_special_tokens=False).input_ids
    rows = [
        {"id": "a", "set": "mine", "kind": "choice", "letters": ["A", "B", "C"], "prompt_ids": opened},
        {"id": "b", "set": "mine", "kind": "number", "split": "validation", "prompt_ids": prompts[0]},
        {"id": "c", "set": "mine", "kind": "number", "split": "test", "prompt_ids": prompts[2]},
        {"id": "d", "set": "heldout", "kind": "open", "split": "validation", "prompt_ids": prompts[3]},
        {"id": "e", "set": "free", "kind": "open", "prompt_ids": prompts[4]},
    ]
    rows[1]["completion_ids"] = prompts[5]
    return tiny.model_copy(update={"generation": tiny.generation.model_copy(update=SAMPLED)}), rows


def changed(params, **generation):
    return params.model_copy(update={"generation": params.generation.model_copy(update=generation)})


def test_a_row_a_sample_and_what_each_kind_of_question_has(sampled, base):
    params, rows = sampled
    found = answers.answer(base, rows, params, {})
    assert [(row["id"], row["sample"]) for row in found] == [
        *((name, sample) for name in "abd" for sample in range(3)), ("e", 0),
    ]  # fmt: skip
    assert len({row["text"] for row in found}) == len(found)
    assert [row["asked"] in ["A", "B", "C"] for row in found[:3]] == [True] * 3
    assert [float(row["asked"]) is not None for row in found[3:6]] == [True] * 3
    assert not any("asked" in row for row in found[6:])
    assert ["reference_loss" in row for row in found] == [index == 3 for index in range(10)]
    assert [row["thinking_cut"] for row in found] == ["\n</think>\n" in row["text"] for row in found]
    assert any(row["thinking_cut"] for row in found[:3])
    assert answers.summary(found).startswith("10 answers, ")
    assert answers.summary(found).endswith("6 asked for a letter or number")
    test = answers.answer(
        base, rows, params.model_copy(update={"evaluation": params.evaluation.model_copy(update={"split": "test"})}), {}
    )
    assert [row["id"] for row in test] == [*"aaaccce"]
    with pytest.raises(UserError, match=r"^evaluation\.split: no question is of the split validation"):
        answers.answer(base, rows[2:3], params, {})


def test_on_a_cpu_samples_are_the_same_in_any_batch_and_after_a_kill(sampled, base):
    params, rows = sampled
    kept = {}
    whole = answers.answer(base, rows, params, kept)
    for batch in (1, 3):
        assert answers.answer(base, rows[::-1], changed(params, batch_size=batch, chunk_size=7), {}) == [
            row for one in rows[::-1] for row in whole if row["id"] == one["id"]
        ]
    left = dict(list(kept.items())[::2])
    assert answers.answer(base, rows, params, left) == whole
    assert left.keys() == kept.keys()
    more = answers.answer(base, rows, changed(params, samples=4), kept)
    assert [row for row in more if row["sample"] < 3] == whole
    assert answers.answer(base, rows, changed(params, seed=7), {}) != whole


def test_where_an_answer_depends_on_its_batch_a_chunk_is_of_samples(sampled, tiny, base):
    params, rows = sampled
    params = changed(params, engine="transformers", chunk_size=4)
    kept = {}
    whole = answers.answer(base, rows, params, kept)
    chunks = {key.rpartition("-")[0] for key in kept if "-" in key}
    assert len(chunks) == 2 + 1 + 1, "six samples of a set in chunks of four; three; one"
    for key in list(kept)[1:9:3]:
        del kept[key]
    assert answers.answer(base, rows, params, kept) == whole


def test_the_tokens_that_ask_for_an_answer_have_to_fit_too(sampled, base):
    params, rows = sampled
    limit = base.network.config.max_position_embeddings
    room = limit - max(len(row["prompt_ids"]) for row in rows[:2])
    with pytest.raises(UserError, match=r"^generation\.max_new_tokens: .* and \d\d to ask for the answer, exceed"):
        answers.answer(base, rows[:2], changed(params, max_new_tokens=room), {})
