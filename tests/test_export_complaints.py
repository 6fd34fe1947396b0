"""Ten complaints about what others export, each planted into an export and caught before it takes any place."""

import json
import shutil
import sys
from types import SimpleNamespace

import pytest

from stages.evaluate import studies
from stages.export import EXPORT, GGUF, MERGED, NAME, __main__, checks, gguf_file, gguf_vocabulary, verdict
from stages.files.errors import UserError
from stages.model.weights import random_model
from tests import exported

pytestmark = pytest.mark.slow

pytest.importorskip("xllamacpp")
F16 = f"{NAME}-f16.gguf"


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    """A finished run and its export, from which each test takes a copy."""
    folder, params = tmp_path_factory.mktemp("made"), exported.changed(tiny)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(random_model, "folder", lambda random: folder / "base")
        exported.base(folder / "base")
        exported.run(params, folder)
        __main__.write(params, EXPORT)
    return SimpleNamespace(folder=folder, params=params)


@pytest.fixture
def export(made, tmp_path, monkeypatch):
    """A copy of the run, its export in it, as the working directory; `judged` gives the failures of one file."""
    shutil.copytree(made.folder, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    monkeypatch.setattr(random_model, "folder", lambda random: tmp_path / "run/base")

    def judged(name):
        return verdict.judge(made.params, {name: verdict.artefacts(EXPORT)[name]})

    return SimpleNamespace(params=made.params, merged=EXPORT / MERGED, gguf=EXPORT / GGUF / F16, judged=judged)


def edit(path, change):
    """Change a JSON file."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def said(failures, *texts):
    """Whether each text stands in a line of the failures."""
    return all(any(text in line for line in failures) for text in texts)


def reweigh(folder, change):
    """Change every weight of a merged folder."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file({name: change(name, weight) for name, weight in load_file(path).items()}, path, {"format": "pt"})


def test_without_a_fault_every_file_answers_as_the_adapter(export):
    assert verdict.judge(export.params, verdict.artefacts(EXPORT)) == []
    found = json.loads(studies.EXPORT.read_text())["export"]["artefacts"]
    assert list(found) == sorted([MERGED, F16, f"{NAME}-q8_0.gguf"])
    for one in found.values():
        assert one["before"] == one["after"] == one["identical"] == one["same_ids"] == one["stopped"]["after"] == 1
        assert one["logprobs"]["largest"] < 0.5 < one["logprobs"]["mean_from_base"]
    assert found[MERGED]["logprobs"]["largest"] < 0.001


def test_1_a_merge_that_is_worse_than_the_adapter(export):
    def in_four_bits(name, weight):
        step = weight.abs().max() / 2
        return (weight / step).round() * step if weight.ndim == 2 else weight

    reweigh(export.merged, in_four_bits)
    assert said(export.judged(MERGED), "merged: 0.0 % of 8 answers right, of the adapter's 100.0 %: 100.0 points less")


def test_2_a_gguf_file_that_is_worse_even_unquantised(export, monkeypatch):
    monkeypatch.setattr(gguf_file, "_read", lambda opened, key, heads, read=gguf_file._read: read(opened, key, None))
    gguf_file.write(export.merged, export.gguf)
    assert said(export.judged(F16), "answers right, of the adapter's 100.0 %")


@pytest.mark.parametrize("template", ["{{ messages[0]['content'] }}", exported.CHAT, "{{ bos_token }}"])
def test_3_another_template_than_in_training(export, template):
    path = export.merged / "chat_template.jinja"
    path.write_text(template if "messages" in template else template + path.read_text())
    gguf_file.write(export.merged, export.gguf)
    for name in (MERGED, F16):
        # llama.cpp takes a second BOS token away by itself.
        assert said(export.judged(name), "100.0 % of its prompts are not the pipeline's") or (
            name == F16 and "messages" not in template
        )


def test_4_answers_that_never_stop(export):
    edit(export.merged / "generation_config.json", lambda values: values.update(eos_token_id=[0]))
    assert said(export.judged(MERGED), "0.0 % of 8 answers that stop, of the adapter's 100.0 %")


def test_4_settings_that_get_lost(export):
    (export.merged / "generation_config.json").unlink()
    assert said(export.judged(MERGED), "there is no generation_config.json")


def test_5_special_tokens_that_the_merge_changed(export):
    edit(export.merged / "tokenizer_config.json", lambda values: values.update(eos_token="<pad>"))
    assert said(export.judged(MERGED), "special tokens are not the base model's: [('eos', '<pad>')] instead of [('eos'")


def test_5_a_dtype_that_the_merge_changed(export):
    import torch

    reweigh(export.merged, lambda name, weight: weight.to(torch.float16))
    assert said(export.judged(MERGED), "its weights or its config are in float16, model.dtype is float32")


def test_5_a_dtype_of_the_config_that_the_merge_changed(export):
    edit(export.merged / "config.json", lambda values: values.update(dtype="bfloat16"))
    assert said(export.judged(MERGED), "its weights or its config are in bfloat16, model.dtype is float32")


def test_6_no_modelfile(export):
    (export.gguf.parent / "Modelfile-f16").unlink()
    assert said(export.judged(F16), f"no Modelfile beside it has the line `FROM ./{F16}`")


def test_6_a_modelfile_with_another_stop_token(export):
    path = export.gguf.parent / "Modelfile-f16"
    path.write_text(path.read_text().replace('PARAMETER stop "<|im_end|>"', 'PARAMETER stop "</s>"'))
    assert said(export.judged(F16), 'no Modelfile beside it has the line `PARAMETER stop "<|im_end|>"`')


def test_7_a_missing_converter(export, monkeypatch):
    from stages.export import llama_library

    llama_library.library.cache_clear()
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(UserError, match=r"gguf needs llama\.cpp in xllamacpp .*: make install-use, or leave gguf out"):
        checks.before(export.params)


def test_8_a_disk_that_is_too_small(export, monkeypatch):
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**7))
    with pytest.raises(UserError, match=r"the export takes 0\.1 GB, and 0\.0 are free"):
        __main__.export(export.params)
    assert export.gguf.exists()
    assert not __main__.PARTIAL.exists()


def test_9_a_fine_tune_that_vanishes(export):
    shutil.copy("base/model.safetensors", export.merged)
    gguf_file.write(export.merged, export.gguf)
    for name in (MERGED, F16):
        assert said(export.judged(name), "its logits are the base model's (0.0", "0.0 % of 8 answers right")


def test_10_the_tags_of_thinking_that_get_lost(export, monkeypatch):
    edit(
        export.merged / "tokenizer.json",
        lambda values: [one.update(special=True) for one in values["added_tokens"]],
    )
    monkeypatch.setattr(gguf_vocabulary, "USER_DEFINED", gguf_vocabulary.CONTROL)
    gguf_file.write(export.merged, export.gguf)
    for name in (MERGED, F16):
        assert said(export.judged(name), "0.0 % of 8 answers with <think>, of the adapter's 100.0 %")
