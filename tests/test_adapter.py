"""An adapter is put on the model that it was made for, whole, finite and from safetensors, or refused in one line."""

import json
import pickle
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages import params
from stages.data.prompts import Formatter
from stages.files.errors import UserError
from stages.generate import answers, generate
from stages.model import adapter, base_model, load
from stages.model.__main__ import where
from stages.params.__main__ import use
from tests.conftest import ROOT, save_adapter


@pytest.fixture(scope="module")
def tuned(tiny):
    tuned = load.for_training(tiny.model, tiny.lora, 1, False)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.5)
    return tuned


@pytest.fixture
def folder(tuned, tmp_path):
    adapter.save(tuned, tmp_path / "adapter")
    return tmp_path / "adapter"


def edit(folder, change):
    """Save the weights again, changed."""
    weights = load_file(folder / adapter.WEIGHTS)
    change(weights)
    save_file(weights, folder / adapter.WEIGHTS)


def refused(tiny, folder, line, scale=1.0, **changes):
    with pytest.raises(UserError, match=line) as error:
        load.for_answers(tiny.model.model_copy(update=changes), folder, scale)
    assert "\n" not in str(error.value)


def logits(answering):
    with torch.inference_mode():
        return answering(torch.arange(20).unsqueeze(0)).logits


@pytest.mark.parametrize("use_rslora", [False, True])
def test_the_scale_multiplies_what_the_adapter_adds(tiny, tmp_path, use_rslora):
    lora = tiny.lora.model_copy(update={"use_rslora": use_rslora, "target_modules": ["q_proj"]})
    tuned = load.for_training(tiny.model, lora, 1, False)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.5)
    adapter.save(tuned, tmp_path / "adapter")

    def weight(scale):
        answering = load.for_answers(tiny.model, tmp_path / "adapter", scale, 0.1)
        return answering.network.model.layers[0].self_attn.q_proj.weight

    base = load.for_answers(tiny.model, None, 1.0).network.model.layers[0].self_attn.q_proj.weight
    assert torch.equal(weight(0.0), base)
    assert torch.allclose(weight(2.0) - base, 2 * (weight(1.0) - base), atol=1e-5)
    answering = load.for_answers(tiny.model, tmp_path / "adapter", 1.0)
    assert torch.allclose(logits(answering.network), logits(tuned), atol=1e-4)


def test_both_backends_attach_by_the_same_function(tiny, folder, monkeypatch):
    class Fake:
        @staticmethod
        def load_to_answer(where, chosen):
            return load.hf_peft.load_to_answer(where, chosen)

        @staticmethod
        def ready_to_answer(loaded, chosen, tolerance):
            return loaded.eval()

    monkeypatch.setitem(load.BACKENDS, "unsloth", Fake)
    monkeypatch.setattr(load.checks, "machine", lambda _: None)
    beside = load.for_answers(tiny.model.model_copy(update={"backend": "unsloth"}), folder, 0.5).network
    merged = load.for_answers(tiny.model, folder, 0.5, 0.1).network
    assert torch.allclose(logits(beside), logits(merged), atol=1e-4)
    assert beside.generation_config.pad_token_id == merged.generation_config.pad_token_id


@pytest.fixture
def small(tiny, tmp_path, monkeypatch):
    """The folder of an adapter whose update bfloat16 mostly swallows: B of 2e-4 on weights of 0.02 in bfloat16."""
    torch.manual_seed(0)
    wide = tiny.model.random.model_copy(update={"hidden_size": 128})
    network = load.hf_peft.load_to_train(base_model.folder(tiny.model.model_copy(update={"random": wide})), tiny.model)
    for weight in network.parameters():
        if weight.ndim == 2:
            weight.data.normal_(std=0.02)
    folder = base_model.folder(tiny.model)
    shutil.copytree(folder, tmp_path / "model")
    network.bfloat16().save_pretrained(tmp_path / "model")
    monkeypatch.setattr(base_model, "folder", lambda _: tmp_path / "model")
    lora = tiny.lora.model_copy(update={"lora_alpha": tiny.lora.r})
    tuned = load.for_training(tiny.model, lora, 1, False)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=2e-4)
    adapter.save(tuned, tmp_path / "adapter")
    return tmp_path / "adapter"


def test_what_a_merge_loses_is_measured_on_the_adapter(tiny, small):
    network = adapter.attach(load.hf_peft.load_to_answer(base_model.folder(tiny.model), tiny.model), small, 1.0)
    layer = network.get_base_model().model.layers[1].mlp.down_proj
    before, update, x = layer.weight.data.clone(), layer.get_delta_weight("default"), torch.randn(500, 256)
    measured = adapter.merge_error(network, torch.bfloat16)
    assert torch.equal(layer.weight, before)
    layer.merge()
    assert (layer.weight == before).float().mean() == pytest.approx(0.84, abs=0.05)  # the report's share
    off = x @ (layer.weight.float() - before.float() - update).T
    assert measured == pytest.approx(float(off.norm() / (x @ update.T).norm()), rel=0.1) == pytest.approx(0.86, abs=0.1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_update_that_a_merge_would_lose_stays_beside_the_weights(tiny, small, capsys, dtype):
    model = tiny.model.model_copy(update={"dtype": dtype})
    answering = load.for_answers(model, small, 1.0, tiny.adapter.merge_tolerance).network
    said = capsys.readouterr().out
    line = rf"adapter: beside the weights; a merge in {dtype} would lose (7|8|9)\d\.\d% of its update \(.* 10\.0%\)\n"
    assert re.fullmatch(line, said)
    assert answering.dtype == getattr(torch, dtype)
    base = load.for_answers(model, None, 1.0).network
    exact = adapter.attach(load.hf_peft.load_to_train(base_model.folder(model), tiny.model), small, 1.0)
    with exact.disable_adapter():
        effect = -logits(exact)
    effect += logits(exact)
    if dtype == "float32":
        assert (logits(answering) - logits(base) - effect).norm() < 1e-3 * effect.norm()
    lost = load.for_answers(model, small, 1.0, 1.0).network
    assert capsys.readouterr().out.startswith("adapter: merged;")
    assert (logits(lost) - logits(base) - effect).norm() > 0.5 * effect.norm()


def test_an_update_times_nothing_is_merged_whatever_the_tolerance(tiny, small):
    model = tiny.model.model_copy(update={"dtype": "bfloat16"})
    given = load.for_answers(model, small, 0.0, 0.0).network.state_dict()
    wanted = load.for_answers(model, None, 1.0).network.state_dict()
    assert given.keys() == wanted.keys()
    assert all(torch.equal(given[name], wanted[name]) for name in given)


@pytest.mark.parametrize("engine", ["continuous", "transformers"])
def test_both_ways_give_the_same_answers(tiny, folder, prompts, engine):
    settings = tiny.generation.model_copy(update={"engine": engine})
    merged, beside = (load.for_answers(tiny.model, folder, 1.0, tolerance) for tolerance in (1.0, 0.0))
    answers = [
        sorted(generate(model, prompts, settings))
        for model in (merged, beside, load.for_answers(tiny.model, None, 1.0))
    ]
    assert answers[0] == answers[1] != answers[2]
    assert hasattr(beside.network, "peft_config") > hasattr(merged.network, "peft_config")


@pytest.mark.parametrize("name", [adapter.WEIGHTS, adapter.CONFIG])
def test_a_folder_without_weights_or_config_is_refused(tiny, folder, name):
    (folder / name).unlink()
    refused(tiny, folder, rf"adapter: there is no {name}: `dvc repro` trains one$")


def test_no_folder_is_refused_and_not_looked_for_on_a_hub(tiny, tmp_path):
    refused(tiny, tmp_path / "adapter", "adapter: there is no adapter_config.json: `dvc repro` trains one$")


def test_a_pickle_is_not_read(tiny, folder):
    weights = load_file(folder / adapter.WEIGHTS)
    (folder / adapter.WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(None))
    torch.save(weights, folder / "adapter_model.bin")
    refused(tiny, folder, r"no adapter_model\.safetensors \(and adapter_model\.bin is not read: it may hold code\)")


@pytest.mark.parametrize("content", [b"", b"nonsense" * 100])
def test_damaged_weights_are_refused(tiny, folder, content):
    (folder / adapter.WEIGHTS).write_bytes(content)
    refused(tiny, folder, r"adapter_model\.safetensors: damaged \(.*: `dvc repro` trains one$")


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"peft_type": "IA3"}'])
def test_a_config_of_no_lora_adapter_is_refused(tiny, folder, content):
    (folder / adapter.CONFIG).write_bytes(content)
    refused(tiny, folder, r"adapter_config\.json: no config of a LoRA adapter: `dvc repro` trains one$")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tiny, folder, value):
    edit(folder, lambda weights: next(iter(weights.values())).view(-1)[:1].fill_(value))
    refused(tiny, folder, r"lora_A\.weight is not finite: its training diverged: lower training\.learning_rate$")


def test_a_merge_that_overflows_is_refused(tiny, folder):
    edit(folder, lambda weights: [one.fill_(3e38) for one in weights.values()])
    refused(tiny, folder, r"^adapter\.scale: .*: lower it, or training\.learning_rate$", scale=16.0)


def test_an_adapter_of_a_wider_model_is_refused(tiny, folder):
    wider = tiny.model.random.model_copy(update={"hidden_size": 64})
    refused(tiny, folder, r"adapter: no adapter for this model \(.*size mismatch.*trains one$", random=wider)


@pytest.mark.parametrize("layers", [1, 3])
def test_an_adapter_of_a_model_with_other_layers_is_refused(tiny, folder, layers):
    other = tiny.model.random.model_copy(update={"num_hidden_layers": layers})
    has = "adapter has" if layers == 1 else "model has"
    refused(
        tiny, folder, rf"adapter: no adapter for this model: the {has} base_model\.model\.model\.layers", random=other
    )


def test_an_adapter_for_modules_that_the_model_lacks_is_refused(tiny, folder):
    config = json.loads((folder / adapter.CONFIG).read_text())
    (folder / adapter.CONFIG).write_text(json.dumps({**config, "target_modules": ["c_attn"]}))
    refused(tiny, folder, r"adapter: no adapter for this model \(.*c_attn.*trains one$")


def test_too_little_memory_is_not_taken_for_a_wrong_adapter(tiny, folder, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("peft.PeftModel.from_pretrained", full)
    with pytest.raises(torch.OutOfMemoryError):
        load.for_answers(tiny.model, folder, 1.0)


@pytest.mark.parametrize(
    ("source", "base", "revision"),
    [
        ("random", "./models/base", None),
        ("hub", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "6a6f4aa4197940add57724a7707d069478df56b1"),
    ],
)
def test_an_adapter_names_its_base_model_alike_on_every_machine(tiny, tmp_path, monkeypatch, source, base, revision):
    folder = base_model.folder(tiny.model)
    monkeypatch.setattr(base_model, "folder", lambda _: folder)
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", None)  # the Hub is not asked
    tuned = load.for_training(tiny.model.model_copy(update={"source": source}), tiny.lora, 1, False)
    adapter.save(tuned, tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / adapter.CONFIG).read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == (base, revision)
    assert str(folder) not in (tmp_path / "adapter" / adapter.CONFIG).read_text()


def test_the_notebook_of_the_readme_answers_as_the_pipeline_does(workplace, tiny, monkeypatch, capsys):
    text = (workplace / "presets/tiny.yaml").read_text().replace("dtype: float32", "dtype: bfloat16")
    (workplace / "presets/tiny.yaml").write_text(text)
    use("tiny")
    chosen = params.load()
    save_adapter(chosen, workplace / "models/adapter")
    where(chosen.model)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    [code] = [block for block in blocks if "# in your own notebook\n" in block]

    names = {}
    capsys.readouterr()
    exec(compile(code, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    answering = answers.load_model(chosen, workplace / "models/adapter", 1.0, chosen.adapter.merge_tolerance)
    assert capsys.readouterr().out.splitlines()[-1].startswith("adapter: merged;")
    row = {"id": "1", "set": "free", "question": names["question"]}
    [prompt] = Formatter(answering.tokenizer, chosen.prompt).examples([row])
    asked = {"max_new_tokens": 184, "do_sample": False, "eos_token_id": sorted(answering.stop_ids)}
    given = torch.tensor([prompt["prompt_ids"]])
    ids = answering.network.generate(given, **asked)[0]
    assert answering.network.dtype == names["model"].dtype == torch.bfloat16
    assert not torch.equal(ids, load.for_answers(chosen.model, None, 1.0).network.generate(given, **asked)[0])
    assert printed == f"{answering.tokenizer.decode(ids[given.shape[1] :], skip_special_tokens=True)}\n"
