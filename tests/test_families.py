"""A dozen families of models go through all six stages, with their own loss, their own tokens and every stop token."""

import json
import math

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from stages import baseline_infer, compare, fetch_dataset, finetune_lora, format_prompts, post_infer
from stages.evaluate import studies
from stages.files import records
from stages.files.errors import UserError
from stages.generate import answers, generate, likelihood
from stages.model import base_model, load
from stages.model.ops.head import Head
from stages.train.trainer import CompletionTrainer
from tests.families import FAMILIES, make

ROWS = [  # as token ids, longer than the windows of Gemma and Mistral
    {"prompt_ids": [*range(40, 80)], "completion_ids": [*range(90, 118)]},
    {"prompt_ids": [*range(30, 44)], "completion_ids": [*range(200, 255, 3)]},
    {"prompt_ids": [7, 8], "completion_ids": [*range(60, 10, -1)]},
]
ENGINES = ["continuous", "transformers"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: make(name, tmp_path_factory.mktemp("families") / name) for name in FAMILIES}


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


@pytest.fixture
def params(name, folders, tiny, monkeypatch):
    """The tiny preset for a family, which the Hub is asked for."""
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda path, **_: str(folders[path]))
    family, lengths = FAMILIES[name], {"per_device_train_batch_size": 3, "max_steps": 2, "num_train_epochs": 1}
    changes = {
        "dataset": {"train_rows": 6, "eval_rows": 2},
        "model": {"source": "hub", "hub": tiny.model.hub.model_copy(update={"path": name})},
        "prompt": {"style": "chat" if family.chat else "plain", "template": "Q: {question}\nA:", "max_length": 1000},
        "lora": {"target_modules": list(family.targets)},
        "training": lengths,
        "generation": {"engine": "continuous" if family.continuous else "transformers", "max_new_tokens": 8},
    }
    sections = {key: getattr(tiny, key).model_copy(update=values) for key, values in changes.items()}
    return tiny.model_copy(update={**sections, "free_questions": ["What is sepsis?"]})


def test_positions_are_those_of_the_model_itself_in_bfloat16(name, params, folders):
    """A cast of the whole network rounds the frequencies of rotary positions: far from the start all is off."""
    model = params.model.model_copy(update={"dtype": "bfloat16"})
    found = answers.load_model(params.model_copy(update={"model": model})).network
    own = AutoModelForCausalLM.from_pretrained(folders[name], dtype=torch.bfloat16).eval()
    ids = torch.arange(1, 801)[None] % 256
    with torch.inference_mode():
        assert torch.equal(found(ids).logits, own(ids).logits)


def own_loss(model, row):
    """The mean loss of a row's completion as the model itself computes it."""
    ids = torch.tensor([row["prompt_ids"] + row["completion_ids"]])
    labels = ids.clone()
    labels[:, : len(row["prompt_ids"])] = -100
    return model(input_ids=ids, labels=labels).loss


def random_adapter(tuned):
    """Draw the LoRA weights anew, so that both matrices have a gradient; returns them by name."""
    torch.manual_seed(1)
    trained = {key: weight for key, weight in sorted(tuned.named_parameters()) if weight.requires_grad}
    with torch.no_grad():
        for weight in trained.values():
            weight.normal_(std=0.05)
    return trained


def test_a_family_goes_through_all_six_stages(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/input").mkdir(parents=True)
    for path in (studies.EXPORT, studies.STUDIES):
        records.write_json(path, {})
    records.write_text(studies.LEDGER, "\n")
    for stage in (fetch_dataset, format_prompts, baseline_infer, finetune_lora, post_infer, compare):
        assert stage.main(params)
    trained = json.loads(finetune_lora.TRAINING.read_text())
    assert (trained["steps"], trained["rows"]) == (2, 6)
    before, after = (list(records.read(path)) for path in (baseline_infer.ANSWERS, post_infer.ANSWERS))
    assert len(before) == len(after) == 3
    assert [row["text"] for row in before] != [row["text"] for row in after]
    assert all(math.isfinite(row["reference_loss"]) for row in [*before[:2], *after[:2]])


@pytest.mark.parametrize("packing", [False, True])
def test_the_training_loss_is_the_familys_own_with_its_gradient(params, name, folders, packing):
    lora = params.lora.model_dump()
    own = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folders[name]), LoraConfig(task_type="CAUSAL_LM", **lora)
    ).eval()
    ours = load.for_training(params.model, params.lora, 0, False)
    weights, ours_weights = random_adapter(own), random_adapter(ours)
    assert weights.keys() == ours_weights.keys()
    training = params.training.model_copy(update={"packing": packing})
    examples = [
        {
            "input_ids": row["prompt_ids"] + row["completion_ids"],
            "completion_mask": [0] * len(row["prompt_ids"]) + [1] * len(row["completion_ids"]),
        }
        for row in ROWS
    ]
    given = {
        "model": ours,
        "args": finetune_lora.config(params.model_copy(update={"training": training})),
        "train_dataset": Dataset.from_list(examples),
        "processing_class": base_model.tokenizer(params.model),
    }
    if packing and not FAMILIES[name].packs:
        line = rf"^training\.padding_free, training\.packing: {name} .*: set both to false$"
        with pytest.raises(UserError, match=line):
            CompletionTrainer(**given)
        return
    trainer = CompletionTrainer(**given)
    loss = trainer.compute_loss(trainer.model, dict(trainer.data_collator(list(trainer.train_dataset))))
    counts = [len(row["completion_ids"]) for row in ROWS]
    wanted = sum(own_loss(own, row) * count for row, count in zip(ROWS, counts, strict=True)) / sum(counts)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-3)
    wanted.backward()
    loss.backward()
    for key, weight in weights.items():
        torch.testing.assert_close(ours_weights[key].grad, weight.grad, rtol=1e-2, atol=1e-2 * weight.grad.abs().max())


@pytest.mark.parametrize("name", ["gemma2", "granite", "cohere", "phi", "llama"], indirect=True)
def test_unsloth_is_refused_where_a_head_is_more_than_a_matrix(params, name, monkeypatch):
    """Unsloth puts its own forward pass into transformers' classes."""
    model = load.for_answers(params.model, None, 1.0).network
    monkeypatch.setattr(type(model), "forward", lambda *_, **__: None)
    if name == "llama":
        assert Head(model).matrix is model.lm_head.weight
        return
    with pytest.raises(UserError, match=r"^model\.backend: unsloth .*: set it to transformers$"):
        Head(model)


def test_the_reference_loss_is_the_familys_own(params, name, folders):
    own = AutoModelForCausalLM.from_pretrained(folders[name])
    with torch.no_grad():
        wanted = [own_loss(own, row).item() for row in ROWS]
    model = load.for_answers(params.model, None, 1.0)
    assert likelihood.reference_losses(model.network, ROWS, {}) == pytest.approx(wanted, rel=1e-3)


def prompts(tokens):
    """Prompts of uneven lengths, some longer than a window."""
    texts = ["Why?", "A man of 80 has fever, a cough and a blood pressure of 90/60 mmHg. " * 2, "é" * 30, "x" * 70]
    return tokens(texts).input_ids


def written(model, asked, params, engine, size=3):
    settings = params.generation.model_copy(update={"engine": engine, "max_new_tokens": 24, "batch_size": size})
    found = {piece.index: piece for piece in generate(model, asked, settings)}
    return [found[index] for index in range(len(asked))]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_writes_the_tokens_of_generate_or_refuses(params, name, folders, engine):
    settings = params.model_copy(update={"generation": params.generation.model_copy(update={"engine": engine})})
    if engine == "continuous" and not FAMILIES[name].continuous:
        line = rf"^generation\.engine: continuous .* {FAMILIES[name].model_type}(,.*)?: set it to transformers$"
        with pytest.raises(UserError, match=line):
            written(answers.load_model(settings), [[1, 2]], params, engine)
        return
    model = answers.load_model(settings)
    own = AutoModelForCausalLM.from_pretrained(folders[name])
    asked = prompts(model.tokenizer)
    wanted = []
    for ids in asked:
        out = own.generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False, eos_token_id=[*model.stop_ids])
        wanted.append(out[0, len(ids) :].tolist())
    assert len({token for ids in wanted for token in ids}) > 8, "the answers differ, so that this can fail"
    assert [piece.token_ids for piece in written(model, asked, params, engine)] == wanted


def test_an_answer_ends_at_every_stop_token_of_the_family(params, name):
    """The model is made to write the token: its row of the head changes places with that of its first choice."""
    family, model = FAMILIES[name], load.for_answers(params.model, None, 1.0)
    expected = {family.eos, family.turn_end, *family.stops}
    assert model.stop_ids == set(model.tokenizer.convert_tokens_to_ids(sorted(expected)))
    head = model.network.get_output_embeddings()
    engines = ENGINES if family.continuous else ["transformers"]
    for engine in engines:
        for stop in sorted(model.stop_ids):
            for ids in prompts(model.tokenizer):
                (first,) = {written(model, [ids], params, engine)[0].token_ids[0]}
                if first not in {*ids, *model.stop_ids}:
                    break
            assert first not in {*ids, *model.stop_ids}
            for weight in head.parameters():
                weight.data[[first, stop]] = weight.data[[stop, first]]
            model.cache.clear()
            (piece,) = written(model, [ids], params, engine)
            assert (piece.token_ids, piece.finish_reason) == ([stop], "stop")
            for weight in head.parameters():
                weight.data[[first, stop]] = weight.data[[stop, first]]
            model.cache.clear()
