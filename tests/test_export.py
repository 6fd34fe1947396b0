"""Exports on tiny random models: the tensors, tokens, logits and prompts of the model that was evaluated."""

import json
import os
import re
import shutil
import signal
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jinja2 import Environment
from safetensors import safe_open
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from stages.data.prompts import Formatter, question_text
from stages.export import (
    ADAPTER,
    EXPORT,
    GGUF,
    MERGED,
    README,
    __main__,
    chat_template,
    checks,
    gguf_file,
    gguf_vocabulary,
    llama_library,
    merged,
    modelfile,
    quantize,
    record,
)  # fmt: skip
from stages.files.errors import UserError
from stages.generate import answers
from stages.model import adapter as adapters
from stages.model import base_model, load
from tests import llama_logits
from tests.conftest import fork, save_adapter
from tests.families import FAMILIES, make

pytestmark = pytest.mark.slow

pytest.importorskip("xllamacpp")

LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}  # fmt: skip
# Where a family's config is changed: rope for long texts, a head of its own, biases.
MODELS = {
    "random": ("random", {}),
    "llama": ("llama", {}),
    "llama, long": ("llama", {"rope_parameters": LLAMA3, "max_position_embeddings": 512}),
    "llama, tied": ("llama", {"tie_word_embeddings": True, "attention_bias": True, "head_dim": 16}),
    "qwen2": ("qwen2", {}),
    "qwen2, untied": ("qwen2", {"tie_word_embeddings": False}),
}
QUESTIONS = [
    "What is sepsis?",
    'A man of 80:\n\nA. fever\nB. é 🙂 {{ x }} "quoted" \\n',
    "blanks  \n\n inside",
    "x" * 60,
]  # no blanks around: Llama's template trims them
# As R1's, Qwen3's and Llama 3.1's: opens the thinking, reads a value, tells the day.
THINKING = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    '{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}'
    "{%- endif %}{{- bos_token }}{{- 'Today: ' + date_string + '\n' }}"
    "{%- for m in messages %}{%- if m.role == 'user' %}"
    "{{- '<|start_header_id|>' + m.content }}{%- else %}{{- '<|end_header_id|>' + m.content.split('</think>')[-1] + "
    "'<|eot_id|>' }}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|end_header_id|>' }}"
    "{%- if enable_thinking is defined and enable_thinking %}{{- '<think>\n' }}{%- endif %}{%- endif %}"
)


def changed(params, **sections):
    return params.model_copy(
        update={name: getattr(params, name).model_copy(update=values) for name, values in sections.items()}
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Each family's model, with the changes of MODELS to its config."""
    home = tmp_path_factory.mktemp("families")
    for name, (family, changes) in MODELS.items():
        if family != "random":
            given = FAMILIES[family]
            FAMILIES["changed"] = SimpleNamespace(**{**given.__dict__, "config": {**given.config, **changes}})
            try:
                make("changed", home / name)
            finally:
                del FAMILIES["changed"]
    return home


@pytest.fixture
def prepared(request, folders, tiny, tmp_path, monkeypatch):
    """Params of one of MODELS in an empty repository root with an adapter, and its base model's folder."""
    name = getattr(request, "param", "random")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda path, **_: str(folders / path))
    monkeypatch.chdir(tmp_path)
    # Whether an export answers well is tests/test_export_verdict.py's.
    for name_of, stub in {"questions": None, "judge": []}.items():
        monkeypatch.setattr(f"stages.export.verdict.{name_of}", lambda *_, stub=stub: stub)
    monkeypatch.setattr("stages.runtime.dvc.run", lambda *_: None)
    every = {"quantizations": ["f16", "q8_0", "q4_k_m"]}
    params = changed(tiny, adapter={"merge_tolerance": 1.0}, export=every)
    if name != "random":
        params = changed(params, model={"source": "hub", "hub": tiny.model.hub.model_copy(update={"path": name})})
    save_adapter(params, ADAPTER)
    return params


def of_all(**options):
    return pytest.mark.parametrize("prepared", MODELS, indirect=True, **options)


def tensors(folder):
    found = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            found |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    return found


@of_all()
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_merged_tensors_are_those_that_post_infer_answers_with(prepared, dtype, monkeypatch):
    monkeypatch.setattr(merged, "SHARD", 20_000)
    params = changed(prepared, model={"dtype": dtype})
    done = merged.write(params, EXPORT)
    model = answers.load_model(params, adapter=ADAPTER, **params.adapter.model_dump())
    wanted, found = model.network.state_dict(), tensors(EXPORT)
    assert done.as_answered
    assert len(list(EXPORT.glob("*.safetensors"))) > 2
    assert found.keys() == wanted.keys() - model.network.all_tied_weights_keys
    assert all(found[key].dtype == getattr(torch, dtype) for key in found)
    assert all(torch.equal(found[key], wanted[key]) for key in found)
    base = load.for_answers(params.model, None, 1.0).network.state_dict()
    assert sum(not torch.equal(found[key], base[key]) for key in found) == 7 * model.network.config.num_hidden_layers
    read = AutoModelForCausalLM.from_pretrained(EXPORT, dtype="auto")
    assert read.dtype == getattr(torch, dtype)
    assert set(GenerationConfig.from_pretrained(EXPORT).eos_token_id) == model.stop_ids


@pytest.mark.parametrize("disk", ["float32", "bfloat16"])
def test_an_adapter_that_is_kept_beside_the_weights_is_merged_in_float32(prepared, folders, disk, monkeypatch):
    params = changed(prepared, model={"dtype": "bfloat16"}, adapter={"merge_tolerance": 0.0, "scale": 0.01})
    own = AutoModelForCausalLM.from_pretrained(base_model.folder(params.model), dtype=getattr(torch, disk))
    own.save_pretrained("base")
    base_model.tokenizer(params.model).save_pretrained("base")
    monkeypatch.setattr(base_model, "folder", lambda _: "base")
    done = merged.write(params, EXPORT)
    assert (done.as_answered, done.lost > 0) == (False, True)
    weights, key = own.state_dict(), "model.layers.0.self_attn.q_proj.weight"
    layer = adapters.attach(own, ADAPTER, 0.01).base_model.model.model.layers[0].self_attn.q_proj
    wanted = (weights[key].float() + layer.get_delta_weight("default")).to(torch.bfloat16)
    assert torch.equal(tensors(EXPORT)[key], wanted)
    assert not torch.equal(wanted, weights[key].bfloat16())


def written(params, folder=EXPORT):
    merged.write(params, folder / MERGED)
    return AutoTokenizer.from_pretrained(folder / MERGED)


@of_all()
@pytest.mark.parametrize("style", ["plain", "chat"])
def test_the_chat_template_makes_the_pipelines_prompt(prepared, style):
    params = changed(prepared, prompt={"style": style})
    rows = [{"id": "", "set": "", "kind": "open", "question": one, "answer": "x"} for one in QUESTIONS]
    wanted = Formatter(base_model.tokenizer(params.model), params.prompt).examples(rows)
    tokenizer = written(params)
    for row, made in zip(rows, wanted, strict=True):
        text = question_text(row, params.prompt.answer_line)
        ids = tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True)[
            "input_ids"
        ]
        assert ids == made["prompt_ids"]
        assert ids.count(tokenizer.bos_token_id) <= 1 or tokenizer.bos_token_id is None


def conversation(*turns):
    return [{"role": ("user", "assistant")[index % 2], "content": one} for index, one in enumerate(turns)]


@pytest.mark.parametrize("prepared", ["llama", "qwen2"], indirect=True)
def test_earlier_turns_are_the_template_again_with_answer_and_stop_token(prepared):
    params = changed(prepared, prompt={"style": "plain", "template": 'Say "{question}" \\ {{% x %}}\nA:'})
    tokenizer = written(params)
    text = tokenizer.apply_chat_template(conversation("a", "b", "c"), tokenize=False, add_generation_prompt=True)
    bos = tokenizer.bos_token if tokenizer.bos_token_id is not None else ""
    assert text == f'{bos}Say "a" \\ {{{{% x %}}}}\nA:b{tokenizer.eos_token}Say "c" \\ {{{{% x %}}}}\nA:'
    for turns in ([{"role": "system", "content": "x"}], [{"role": "user", "content": [{"type": "text"}]}]):
        with pytest.raises(Exception, match=r"^A message is a text of the user or the assistant"):
            tokenizer.apply_chat_template(turns, tokenize=False)


@pytest.mark.parametrize("prepared", ["llama"], indirect=True)
@pytest.mark.parametrize("thinking", [True, False])
def test_the_tokenizers_own_template_keeps_day_values_and_opened_thinking(prepared, folders, thinking, monkeypatch):
    tokenizer = base_model.tokenizer(prepared.model)
    tokenizer.chat_template = THINKING
    prompt = prepared.prompt.model_copy(
        update={"style": "chat", "date": "2023-02-01", "chat_template_kwargs": {"enable_thinking": thinking}}
    )
    tokenizer.chat_template = chat_template.template(Formatter(tokenizer, prompt))
    made = tokenizer.apply_chat_template(conversation("a", "<think>b</think>c", "d"), tokenize=False,
                                         add_generation_prompt=True)  # fmt: skip
    opened = "<think>\n" if thinking else ""
    assert made == (
        "<|begin_of_text|>Today: 01 Feb 2023\n<|start_header_id|>a<|end_header_id|>c<|eot_id|><|start_header_id|>d"
        f"<|end_header_id|>{opened}"
    )
    wrong = Formatter(tokenizer, prompt)
    object.__setattr__(wrong, "sides", ("other ", ""))
    with pytest.raises(
        UserError, match=r"^export: as a chat template the prompt becomes .*: set prompt\.style to plain$"
    ):
        chat_template.template(wrong)


def logit_error(path, tokenizer, network):
    """The root mean square of what llama.cpp's logits are off, in standard deviations of transformers' logits."""
    errors = []
    with llama_library.Model(path) as model:
        for question in QUESTIONS:
            text = tokenizer.apply_chat_template(conversation(question), tokenize=False, add_generation_prompt=True)
            ids = tokenizer(text, add_special_tokens=False).input_ids
            assert model.tokens(text, special=True) == ids
            with torch.no_grad():
                wanted = network(torch.tensor([ids])).logits[0].numpy()
            errors.append(np.sqrt(np.square(llama_logits.of(model, ids) - wanted).mean()) / wanted.std())
        assert all(model.ends(one) for one in GenerationConfig.from_pretrained(EXPORT / MERGED).eos_token_id)
    return max(errors)


@of_all()
def test_a_gguf_file_has_the_tokens_and_logits_of_transformers(prepared, request, monkeypatch):
    tokenizer = written(prepared)
    network = AutoModelForCausalLM.from_pretrained(EXPORT / MERGED)
    path = EXPORT / GGUF / "x.gguf"
    for quantization, most in (("f32", 0.02), ("f16", 0.02), ("q8_0", 0.3)):
        gguf_file.write(EXPORT / MERGED, path, quantization)
        assert logit_error(path, tokenizer, network) < most, quantization
    assert os.listdir(path.parent) == ["x.gguf"]
    name = request.node.callspec.params["prepared"]
    if not name.startswith("qwen2"):  # rows in the order of transformers, and rope as for short texts: both are seen
        read = gguf_file._read
        with monkeypatch.context() as patch:
            patch.setattr(gguf_file, "_read", lambda opened, key, _: read(opened, key, None))
            gguf_file.write(EXPORT / MERGED, path, "f32")
        assert logit_error(path, tokenizer, network) > 0.3
    if name == "llama, long":
        monkeypatch.setattr(gguf_file, "_rope_factors", lambda config: np.ones(4, np.float32))
        gguf_file.write(EXPORT / MERGED, path, "f32")
        assert logit_error(path, tokenizer, network) > 0.05


@pytest.mark.parametrize("prepared", ["llama", "qwen2"], indirect=True)
def test_a_quantized_file_has_llama_cpps_mix_of_types_and_its_bytes(prepared):
    """The mix was held against llama_model_quantize on SmolLM2: every tensor's bytes were equal (docs/export.md)."""
    from gguf import GGMLQuantizationType, GGUFReader, dequantize
    from gguf import quantize as reference

    written(prepared)
    for quantization in ("f32", "q8_0", "q4_k_m"):
        gguf_file.write(EXPORT / MERGED, EXPORT / f"x-{quantization}.gguf", quantization)
    exact, eight, four = (
        {one.name: one for one in GGUFReader(EXPORT / f"x-{name}.gguf").tensors} for name in ("f32", "q8_0", "q4_k_m")
    )
    for name, one in eight.items():
        if one.tensor_type == GGMLQuantizationType.Q8_0:
            assert np.array_equal(one.data, reference(exact[name].data, GGMLQuantizationType.Q8_0))
    assert {one.tensor_type.name for one in four.values()} == {"F32", "Q5_0", "Q8_0"}  # rows of 32 and 64 weights
    for name, one in four.items():
        plain, back = exact[name].data, dequantize(one.data, one.tensor_type)
        assert np.linalg.norm(back - plain) <= 0.1 * np.linalg.norm(plain)


def test_the_mix_of_q4_k_m_has_six_bits_for_the_head_and_where_more_are_needed():
    def kinds(name, layers=32, width=4096, tied=False):
        return quantize.kind(name, (4096, width), "q4_k_m", layers, tied).name

    more = [layer for layer in range(32) if kinds(f"blk.{layer}.ffn_down.weight") == "Q6_K"]
    assert more == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]
    assert more == [layer for layer in range(32) if kinds(f"blk.{layer}.attn_v.weight") == "Q6_K"]
    assert {kinds(f"blk.0.{name}.weight") for name in ("attn_q", "attn_k", "attn_output", "ffn_up")} == {"Q4_K"}
    assert (kinds("output.weight"), kinds("token_embd.weight")) == ("Q6_K", "Q4_K")
    assert kinds("token_embd.weight", tied=True) == "Q6_K"
    assert (kinds("blk.9.attn_q.weight", width=576), kinds("blk.9.attn_v.weight", width=576)) == ("Q5_0", "Q8_0")
    assert kinds("blk.9.attn_q.weight", width=40) == "F16"


SPLITS = {
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+",
    "gpt-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    None: r"\p{L}{1,3}|[^\p{L}]",
}


@pytest.mark.parametrize("name", SPLITS)
def test_the_name_of_a_pre_tokenizer_is_found_by_its_tokens_or_refused(prepared, name):
    """Trained on the sample, so that each way to cut it makes other tokens."""
    written(prepared)
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLITS[name]), "isolated"), bytes_only])
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<|im_end|>", "<pad>", "<|im_start|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([gguf_vocabulary.SAMPLE] * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<pad>")
    tokenizer.chat_template = "{{ messages }}"
    tokenizer.save_pretrained(EXPORT / MERGED)
    config = AutoConfig.from_pretrained(EXPORT / MERGED)
    config.vocab_size = len(tokenizer) + 3  # as Qwen's, with rows that no token has
    config.save_pretrained(EXPORT / MERGED)
    GenerationConfig(eos_token_id=[tokenizer.eos_token_id]).save_pretrained(EXPORT / MERGED)
    path = EXPORT / "x.gguf"
    if name is None:
        with pytest.raises(UserError, match=r"^export\.formats: gguf: llama\.cpp would cut texts into other tokens"):
            gguf_file.write(EXPORT / MERGED, path)
        assert not list(EXPORT.glob("x.*"))
        return
    gguf_file.write(EXPORT / MERGED, path)
    with llama_library.Model(path, vocabulary_only=True) as model:
        wanted = tokenizer(gguf_vocabulary.SAMPLE, add_special_tokens=False).input_ids
        assert model.tokens(gguf_vocabulary.SAMPLE) == wanted
    with llama_library.Model(path, vocabulary_only=True, pre="default") as model:
        assert model.tokens(gguf_vocabulary.SAMPLE) != wanted, "the sample tells them apart"


def rendered(go, turns):
    """A Go template of the few kinds of commands that a Modelfile has, as Jinja."""
    ends, out = [], []
    for quoted, command in re.findall(r'\{\{ ("(?:[^"\\]|\\.)*") \}\}|\{\{ (.*?) \}\}', go):
        if quoted:
            out.append(f"{{{{ {quoted} }}}}")
        elif found := re.fullmatch(r"\$later :?= (true|false)", command):
            out.append(f"{{% set state.later = {found[1]} %}}")
        elif command == "range .Messages":
            out.append("{% for m in turns %}")
            ends.append("endfor")
        elif command == "if $later":
            out.append("{% if state.later %}")
            ends.append("endif")
        elif found := re.fullmatch(r'(else )?if eq \.Role ("\w+")', command):
            out.append(f"{{% {'elif' if found[1] else 'if'} m.role == {found[2]} %}}")
            ends += [] if found[1] else ["endif"]
        elif command == "end":
            out.append(f"{{% {ends.pop()} %}}")
        else:
            assert command == ".Content"
            out.append("{{ m.content }}")
    assert not ends
    return Environment().from_string("{% set state = namespace() %}" + "".join(out)).render(turns=turns)


@of_all()
@pytest.mark.parametrize("style", ["plain", "chat"])
def test_a_modelfile_has_the_pipelines_prompt_and_every_stop_token(prepared, style):
    template = 'Say "{question}" \\ {{% x %}}\nA:'
    params = changed(prepared, prompt={"style": style, "template": template})
    tokenizer = written(params)
    made = modelfile.text(params, EXPORT / MERGED, "x-f16.gguf")
    go = re.search(r'^TEMPLATE """(.*)"""$', made, re.M)[1]
    for turns in (conversation("a {{ 1 }}"), conversation("a", "b", "c"), conversation("a", "b", "c", "d", "e")):
        wanted = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        bos = tokenizer.bos_token if tokenizer("a").input_ids[0] == tokenizer.bos_token_id else ""
        assert bos + rendered(go, turns) == wanted
    stops = tokenizer.convert_ids_to_tokens(GenerationConfig.from_pretrained(EXPORT / MERGED).eos_token_id)
    assert re.findall(r'^PARAMETER stop "(.*)"$', made, re.M) == stops
    assert made.splitlines()[0].startswith("# Research software, no medical advice.")
    assert {"FROM ./x-f16.gguf", "PARAMETER temperature 0.0", "PARAMETER repeat_penalty 1"} <= set(made.splitlines())


def test_everything_is_in_place_with_a_readme_and_a_record(prepared, monkeypatch, capsys):
    monkeypatch.setattr("stages.params.load", lambda: prepared)
    assert not record.is_current(prepared)
    assert __main__.main() == 0
    assert record.is_current(prepared)
    assert capsys.readouterr().out.splitlines()[-1].startswith("export: models/export: merged, gguf: ")
    names = [f"medical-chatbot-{one}.gguf" for one in ("f16", "q4_k_m", "q8_0")]
    readme = (EXPORT / README).read_text()
    assert sorted(path.name for path in (EXPORT / GGUF).iterdir()) == sorted(
        [*names, *(f"Modelfile-{one}" for one in ("f16", "q4_k_m", "q8_0"))]
    )
    assert all(
        text in readme for text in [*names, "vllm serve merged", "ollama create", "no medical advice", "`<|im_end|>`"]
    )
    assert sorted(os.listdir("models")) == ["adapter", "export"]
    assert not record.is_current(changed(prepared, prompt={"date": "2020-01-01"}))
    assert record.is_current(changed(prepared, export={"margin": 0.5}))
    weights = ADAPTER / adapters.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))
    assert not record.is_current(prepared)
    only = changed(prepared, export={"formats": ["gguf"], "quantizations": ["q8_0"]})
    monkeypatch.setattr("stages.params.load", lambda: only)
    assert __main__.main() == 0
    assert sorted(path.name for path in EXPORT.rglob("*") if path.is_file()) == [
        "Modelfile-q8_0", "README.md", "export.json", "medical-chatbot-q8_0.gguf",
    ]  # fmt: skip


def no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    llama_library.library.cache_clear()


FAULTS = {
    "disk": (lambda patch: patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6)),
             r"models: the export takes 0\.\d GB, and 0\.0 are free: free some, .*"),
    "memory": (lambda patch: patch.setattr(checks, "_available", lambda: 10**6),
               r"out of memory: the export takes [\d.]+ GB, and 0\.0 are free: .*"),
    "package": (no_package, r"export\.formats: gguf needs llama\.cpp in xllamacpp \(.*\): make install-use, .*"),
    "adapter": (lambda patch: shutil.rmtree(ADAPTER), r"models/adapter: there is no adapter_config\.json: .*"),
    "full": (lambda patch: patch.setattr(modelfile, "text", full),
             "cannot write models/export: No space left on device: free some space, then `make export` again"),
}  # fmt: skip


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_in_the_way_is_one_line_and_the_former_export_stays(prepared, fault, monkeypatch, capsys):
    monkeypatch.setattr("stages.params.load", lambda: prepared)
    EXPORT.mkdir()
    (EXPORT / "former").touch()
    break_it, line = FAULTS[fault]
    break_it(monkeypatch)
    try:
        assert __main__.main() == 1
    finally:
        llama_library.library.cache_clear()
    said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(f"export: {line}", said[-1])
    assert os.listdir(EXPORT) == ["former"]
    assert not __main__.PARTIAL.exists()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"model_type": "gemma"}, "the family gemma"),
        ({"hidden_act": "gelu"}, "the activation gelu"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0}}, "rope of the type yarn"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "attention in a window"),
    ],
)
def test_another_family_is_refused_as_gguf(changes, what):
    given = {"model_type": "qwen2", "hidden_act": "silu", "rope_parameters": {"rope_type": "default"}, **changes}
    with pytest.raises(UserError, match=rf"^export\.formats: gguf: {what} is not supported, .*: leave gguf out$"):
        gguf_file.check(SimpleNamespace(**given))


def test_a_weight_too_large_for_float16_is_refused():
    from gguf import GGMLQuantizationType

    with pytest.raises(UserError, match=r"^export\.formats: gguf: w does not fit into float16"):
        quantize.converted("w", np.float32([[1e6]]), GGMLQuantizationType.F16)


def test_a_killed_export_leaves_the_former_one_or_the_new_one(prepared):
    """At any moment: what lies under the name is always whole, and the next export removes the rest."""
    __main__.export(prepared)
    whole = sorted(str(path.relative_to(EXPORT)) for path in EXPORT.rglob("*"))
    found = set()
    for number in range(8):
        if not (child := fork()):
            while True:
                __main__.export(prepared)
        time.sleep(0.3 + 0.17 * number)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found.add(__main__.PARTIAL.exists())
        __main__._tidy()
        assert sorted(str(path.relative_to(EXPORT)) for path in EXPORT.rglob("*")) == whole
        assert json.loads((EXPORT / "export.json").read_text()) == json.loads(json.dumps(record.of(prepared)))
        assert sorted(os.listdir("models")) == ["adapter", "export"]
    assert True in found, "some were killed half-way"
    EXPORT.rename(__main__.FORMER)  # killed between the two renames
    __main__._tidy()
    assert sorted(str(path.relative_to(EXPORT)) for path in EXPORT.rglob("*")) == whole
