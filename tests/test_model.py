"""Base models load from safetensors alone, once, and are the model that they say they are."""

import pytest
import torch

from stages.common import model
from stages.common.errors import UserError
from stages.common.models import package


@pytest.fixture(scope="module")
def committed():
    from stages.common import params

    return params.load()


def test_the_embedded_model_keeps_its_logits_through_the_conversion(committed):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = package.gguf_path(committed.model.package)
    original = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    converted = AutoModelForCausalLM.from_pretrained(model.folder(committed.model), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model.folder(committed.model))
    ids = tokenizer("What is the CURB-65 score of a man of 84?", return_tensors="pt").input_ids
    with torch.inference_mode():
        assert torch.equal(original(ids).logits, converted(ids).logits)


def test_the_embedded_tokenizer_stops_at_the_end_of_a_turn(committed):
    tokenizer = model.tokenizer(committed.model)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert tokenizer("a").input_ids[0] != tokenizer.bos_token_id
    text = "Temp 38.9 °C, CHA₂DS₂-VASc ≥ 2 <think>\nwhy\n</think>"
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_folder_is_made_once(tiny, monkeypatch):
    first = model.folder(tiny.model)
    monkeypatch.setattr("stages.common.models.random._make", None)
    assert model.folder(tiny.model) == first


def test_a_folder_that_fails_half_way_is_not_kept(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("AI_MEDICAL_CHATBOT_CACHE", str(tmp_path))

    def broken(random, target):
        (target / "config.json").write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr("stages.common.models.random._make", broken)
    with pytest.raises(KeyboardInterrupt):
        model.folder(tiny.model)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"name": "no_such_package"}, "no_such_package is not installed: run `make install`"),
        ({"gguf_file": "other.gguf"}, "other.gguf does not exist"),
        ({"sha256": "0" * 64}, "install the pinned version"),
    ],
)
def test_an_embedded_model_that_is_not_the_pinned_one_is_refused(committed, change, line):
    with pytest.raises(UserError, match=line):
        package.folder(committed.model.package.model_copy(update=change))


def test_a_hub_model_that_cannot_be_had_is_one_clear_line(tiny):
    hub = tiny.model.hub.model_copy(update={"path": "nobody/no-such-model"})
    with pytest.raises(UserError, match="model nobody/no-such-model at 6a6f4aa41979: ") as error:
        model.folder(tiny.model.model_copy(update={"source": "hub", "hub": hub}))
    assert "\n" not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"backend": "unsloth"}, "model.backend: unsloth needs a CUDA GPU"),
        ({"load_in_4bit": True}, "model.load_in_4bit: true needs a CUDA GPU"),
    ],
)
def test_what_needs_a_gpu_says_so_where_there_is_none(tiny, change, line):
    chosen = tiny.model.model_copy(update=change)
    with pytest.raises(UserError, match=line):
        model.for_answers(chosen, None, 1.0)
    with pytest.raises(UserError, match=line):
        model.for_training(chosen, tiny.lora, 0, False)


def test_a_target_module_that_the_model_lacks_is_one_clear_line(tiny):
    with pytest.raises(UserError, match=r"lora\.target_modules: "):
        model.for_training(tiny.model, tiny.lora.model_copy(update={"target_modules": ["nothing"]}), 0, False)
