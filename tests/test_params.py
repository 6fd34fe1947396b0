"""params.yaml is checked as a whole: each problem is one line with its key as in the file, the value and a remedy."""

import contextlib
import copy
import os
import re
import resource
import shutil
import subprocess
import sys
from datetime import date
from itertools import pairwise

import pytest

from stages import params
from stages.files.errors import UserError
from stages.params import __main__ as command
from tests.conftest import ROOT

with contextlib.chdir(ROOT):
    TEXT, _ = command.edited("cpu")  # the committed text, whatever preset is in use
VALUES = params.parse(TEXT, "params.yaml")
LEAVES = dict(command.leaves(VALUES))
PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
NUMBERS = [key for key, value in LEAVES.items() if type(value) in (int, float)]
HUB_SET = {
    "name": "medqa",
    "source": "hub",
    "kind": "choice",
    "rows": 10,
    "columns": {"question": "question", "answer": "answer_idx", "options": "options", "context": None, "group": None},
    "answer_key": "letter",
    "options": None,
    "hub": {"path": "a/b", "name": None, "split": "test", "revision": "0" * 40},
}
FILES_SET = {key: value for key, value in HUB_SET.items() if key != "hub"} | {
    "name": "mine",
    "source": "files",
    "data_files": ["questions.csv"],
}
PACKAGE_SET = {**VALUES["evaluation_sets"][0], "name": "packed"}


def written(key, text):
    """The committed text with another text for one value."""
    ((start, end),) = [(start, end) for one, start, end in command.places(TEXT) if one == key]
    return f"{TEXT[:start]} {text}{TEXT[end:]}"


def lined(line):
    """The committed text with another line for lora.r."""
    before, after = TEXT.split(f"\n  r: {LEAVES['lora.r']}\n")
    return f"{before}\n{line}\n{after}"


LINE = lined("HERE").split("HERE")[0].count("\n") + 1


def problems(values):
    """The lines of what is wrong with values."""
    with pytest.raises(UserError) as caught:
        params.check(values)
    return str(caught.value).splitlines()


def the_problem(values):
    (line,) = problems(values)
    return line


def put(values, key, value):
    *sections, last = key.split(".")
    for section in sections:
        values = values[section]
    values[last] = value


def drop(values, key):
    *sections, last = key.split(".")
    for section in sections:
        values = values[section]
    del values[last]


def wrong_type(key, value):
    return "five" if key == "generation.max_thinking_tokens" or not isinstance(value, str | None) else 5


# --- the committed file and the presets ---------------------------------------------------------------------------


def test_the_committed_params_are_valid():
    params.load(ROOT / "params.yaml")


def test_dvc_reads_the_same_values():
    from dvc.utils.serialize import parse_yaml

    text = written("training.learning_rate", "5e-05")
    assert parse_yaml(text, "params.yaml") == params.parse(text, "params.yaml")
    assert params.parse(text, "params.yaml")["training"]["learning_rate"] == 0.00005


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_makes_valid_params(name, workplace):
    params.check(command.merged(name))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_set_the_same_keys_so_that_switching_leaves_nothing_behind(name, workplace):
    assert set(dict(command.leaves(command.read_preset(name)))) == set(dict(command.leaves(command.read_preset("cpu"))))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_and_back_gives_the_committed_bytes(name, workplace):
    path = workplace / "params.yaml"
    command.use(name)
    assert params.read(path) == command.merged(name)
    assert command.use(name) == f"params.yaml: preset {name}: no change"
    command.use("cpu")
    assert path.read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize("name", PRESETS)
def test_only_the_values_of_a_preset_change(name, workplace):
    merged = dict(command.leaves(command.merged(name)))
    changed = [key for key, value in LEAVES.items() if merged[key] != value and key != "evaluation_sets"]
    command.use(name)
    texts = [TEXT, (workplace / "params.yaml").read_text("utf-8")]  # less the list, which has several lines
    (before, after) = (re.sub(r"(?<=\nevaluation_sets:\n)(  .*\n)+", "", text).splitlines() for text in texts)
    lines = zip(before, after, strict=True)
    different = [(old, new) for old, new in lines if old != new]
    assert len(different) == len(changed)
    for old, new in different:
        assert old.partition(":")[0] == new.partition(":")[0]
        assert old.partition(" #")[2] == new.partition(" #")[2]


def test_a_list_on_one_line_gives_way_to_one_over_several_lines(workplace):
    (workplace / "params.yaml").write_text(re.sub(r"(?<=\nevaluation_sets:)(\n  .*)+", " []", TEXT), encoding="utf-8")
    assert params.load().evaluation_sets == []
    assert command.use("cpu") == "params.yaml: preset cpu: evaluation_sets"
    assert (workplace / "params.yaml").read_text(encoding="utf-8") == TEXT


def test_line_ends_of_windows_stay(workplace):
    path = workplace / "params.yaml"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    command.use("tiny")
    command.use("cpu")
    assert path.read_bytes() == TEXT.replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    "text",
    [
        lined("  r: &rank 16").replace("lora_alpha: 32", "lora_alpha: *rank"),
        lined("  <<: {r: 99}"),
        lined("  r: &rank !!int 99"),
        lined("  r: # the rank\n    99"),
        lined("  'r': 99"),
        lined("  r:   99   # far"),
        written("training.lr_scheduler_type", ">-\n    constant"),
        written("training.lr_scheduler_type", "\n    constant"),
        TEXT.replace("\ngeneration:", "\ngeneration: &g"),
        TEXT[: TEXT.index("\nadapter:")]
        + "\nadapter: {scale: 1.0, merge_tolerance: 0.1}\n"
        + TEXT[TEXT.index("\ngrading:") :],
    ],
    ids=range(10),
)
def test_other_layouts_are_either_edited_rightly_or_left_alone(text, workplace, capsys):
    assert text != TEXT
    path = workplace / "params.yaml"
    path.write_text(text, encoding="utf-8")
    wanted = command.merged("gpu-8b")
    if command.main(["use", "gpu-8b"]) == 0:
        assert params.read(path) == wanted
    else:
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert path.read_text(encoding="utf-8") == text


def test_an_unknown_preset_lists_those_there_are(workplace, capsys):
    assert command.main(["use", "nosuch"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert all(name in err for name in PRESETS)
    assert "nosuch" in err
    assert (workplace / "params.yaml").read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize("name", ["../params", "cpu.yaml", "", "*"])
def test_a_preset_is_a_name_not_a_path(name, workplace, capsys):
    assert command.main(["use", name]) == 1
    assert "choose one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("lora: {rank: 8}", "lora.rank"),
        ("lora: {r: many}", "lora.r: 'many'"),
        ("lora: {r: 8}\ntraining: {learning_rate: 5}", "training.learning_rate: 5"),
        ("lora: 8", "lora: 8"),
        ("lora: {r: {a: 8}}", "lora.r: {'a': 8}"),
        ("5: 6", "5: unknown key"),
        ("- lora", "mapping"),
        ("", "mapping"),
        ("lora: {r: 8", "not valid YAML"),
        ("lora: {r: 8}\nlora: {r: 9}", "duplicate"),
    ],
)
def test_an_invalid_merge_writes_nothing(preset, said, workplace, capsys):
    (workplace / "presets/bad.yaml").write_text(preset, encoding="utf-8")
    files = sorted(workplace.rglob("*"))
    assert command.main(["use", "bad"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert (workplace / "params.yaml").read_text(encoding="utf-8") == TEXT
    assert sorted(workplace.rglob("*")) == files


@pytest.mark.parametrize("text", ["", "- 1\n", "lora: 5\n", "lora: [\n", lined("  r: many")])
def test_invalid_params_are_not_merged_into(text, workplace, capsys):
    (workplace / "params.yaml").write_text(text, encoding="utf-8")
    assert command.main(["use", "gpu-8b"]) == 1
    err = capsys.readouterr().err
    assert all(line.startswith("params.yaml") for line in err.splitlines())
    assert (workplace / "params.yaml").read_text(encoding="utf-8") == text


def test_check_says_valid_or_why_not(workplace, capsys):
    assert command.main(["check"]) == 0
    assert capsys.readouterr().out == "params.yaml: valid\n"
    (workplace / "params.yaml").unlink()
    assert command.main(["check"]) == 1
    assert capsys.readouterr().err == "params.yaml: not found: run from the root of the repository\n"


AWKWARD = ["no", "true", "null", "42", "1e-5", "a,b", "a=b", "a:b", "<|im_end|>", "é", "choice(a,b)", ""]


# --- every key --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [*LEAVES, *VALUES, "dataset.hub", "dataset.files.columns", "model.package"])
def test_a_missing_key_is_one_line_that_names_it(key, values):
    drop(values, key)
    assert the_problem(values).startswith(f"params.yaml: {key}: missing: add it")


@pytest.mark.parametrize("key", LEAVES)
def test_a_value_of_the_wrong_type_is_one_line_that_names_key_and_value(key, values):
    wrong = wrong_type(key, LEAVES[key])
    put(values, key, wrong)
    assert the_problem(values).startswith(f"params.yaml: {key}: {wrong!r}: must be ")


def test_a_date_without_quotes_is_one_line_that_says_so(values):
    values["prompt"]["date"] = date(2024, 7, 26)
    assert the_problem(values) == "params.yaml: prompt.date: 2024-07-26: must be a text: write it in quotes"


@pytest.mark.parametrize(
    ("style", "given", "said"),
    [
        ("plain", {"enable_thinking": False}, "the plain style has no"),
        ("chat", {"tokenize": True}, "tokenize: decided by"),
    ],
)
def test_values_for_the_chat_template_that_do_nothing_or_too_much_are_one_line(values, style, given, said):
    values["prompt"] |= {"style": style, "chat_template_kwargs": given}
    assert the_problem(values).startswith(f"params.yaml: prompt.chat_template_kwargs: {said}")


@pytest.mark.parametrize("wrong", [None, -1, [1], 0.5])
def test_a_value_for_the_chat_template_that_is_no_scalar_is_one_line(values, wrong):
    values["prompt"]["chat_template_kwargs"] = {"enable_thinking": wrong}
    name = "prompt.chat_template_kwargs.enable_thinking"
    assert re.fullmatch(
        rf"params\.yaml: {name}: .*: must be true, false, a whole number .* or a text", the_problem(values)
    )


@pytest.mark.parametrize("key", [key for key, value in LEAVES.items() if isinstance(value, list)])
def test_an_element_of_the_wrong_type_is_named_by_its_index(key, values):
    wrong = "five" if LEAVES[key] and isinstance(LEAVES[key][0], int) else 5
    others = LEAVES[key][:-1]
    put(values, key, [*others, wrong])
    assert the_problem(values).startswith(f"params.yaml: {key}[{len(others)}]: {wrong!r}: must be ")


@pytest.mark.parametrize("key", [*LEAVES, *VALUES])
def test_a_mapping_list_or_null_in_the_wrong_place_is_one_line(key, values):
    for wrong in ({"a": 1}, [[1]], None):
        changed = copy.deepcopy(values)
        put(changed, key, wrong)
        try:
            params.check(changed)
        except UserError as error:
            for line in str(error).splitlines():
                assert line.startswith((f"params.yaml: {key}: ", f"params.yaml: {key}.", f"params.yaml: {key}["))
        else:
            assert wrong is None, (key, wrong)
            assert key in (
                "dataset.hub.name",
                "dataset.files.columns.answer",
                "dataset.files.columns.group",
                "generation.max_thinking_tokens",
                "lora.layers_to_transform",
            )


@pytest.mark.parametrize("key", LEAVES)
def test_a_misspelt_key_is_told_the_right_one(key, values):
    *sections, last = key.split(".")
    put(values, ".".join([*sections, last + "x"]), LEAVES[key])
    assert the_problem(values) == f"params.yaml: {key}x: unknown key: did you mean {last}?"


@pytest.mark.parametrize(
    "section", ["", "dataset.", "dataset.hub.", "dataset.files.columns.", "model.random.", "lora."]
)
def test_an_unknown_key_that_resembles_none_is_to_be_removed(section, values):
    put(values, f"{section}zzqq", 1)
    assert the_problem(values) == f"params.yaml: {section}zzqq: unknown key: remove it"


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize(
    "wrong",
    [True, "1", float("nan"), float("inf"), -(10**400), 10**400],
    ids=["true", "text", "nan", "inf", "low", "high"],
)
def test_no_text_truth_or_endless_number_passes_for_a_number(key, wrong, values):
    put(values, key, wrong)
    line = the_problem(values)
    assert line.startswith(f"params.yaml: {key}: ")
    assert len(line) < 200


@pytest.mark.parametrize("key", [key for key, value in LEAVES.items() if value is True or value is False])
@pytest.mark.parametrize("wrong", [0, 1, "yes", "true"])
def test_a_truth_is_true_or_false(key, wrong, values):
    put(values, key, wrong)
    assert the_problem(values).startswith(f"params.yaml: {key}: {wrong!r}: ")


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("dataset.eval_share", 0),
        ("dataset.eval_share", 1.0),
        ("dataset.train_rows", 0),
        ("dataset.max_dropped_share", 1.01),
        ("dataset.hub.revision", "main"),
        ("dataset.hub.revision", "a" * 40 + "\n"),
        ("dataset.hub.path", " "),
        ("model.backend", "torch"),
        ("model.threads", 0),
        ("model.package.sha256", "A" * 64),
        ("model.random.hidden_size", 12),
        ("prompt.max_length", 15),
        ("prompt.date", "2024-02-30"),
        ("prompt.date", "26 July 2024"),
        ("prompt.template", "no place for it"),
        ("prompt.template", "{question} {question}"),
        ("lora.r", 0),
        ("lora.lora_dropout", 1),
        ("training.learning_rate", 0),
        ("training.learning_rate", 1.5),
        ("training.max_steps", -2),
        ("training.optim", "sgd"),
        ("training.seed", 2**32),
        ("generation.batch_size", 0),
        ("adapter.scale", -0.5),
        ("grading.overlap_threshold", 0.19),
        ("grading.overlap_threshold", 0.81),
        ("grading.relative_tolerance", 0.051),
        ("grading.relative_tolerance", 1.0),
    ],
)
def test_a_value_out_of_range_is_one_line_with_key_value_and_remedy(key, wrong, values):
    put(values, key, wrong)
    shown = repr(wrong) if len(repr(wrong)) <= 60 else repr(wrong)[:10]
    line = the_problem(values)
    assert line.startswith(f"params.yaml: {key}: {shown}")
    assert "must be" in line


@pytest.mark.parametrize(
    "name", ["/etc/rows.csv", "../rows.csv", "a/../../rows.csv", "..", "rows.txt", "rows", ".csv\n", ""]
)
def test_data_files_stay_inside_of_their_folder(name, values):
    values["dataset"]["files"]["data_files"] = ["good.csv", name]
    assert the_problem(values).startswith(f"params.yaml: dataset.files.data_files[1]: {name!r}: must be ")


@pytest.mark.parametrize("name", ["rows.jsonl", "a/b.csv", "..a/b..json", "rows.en.parquet"])
def test_data_files_may_lie_in_folders(name, values):
    values["dataset"]["files"]["data_files"] = [name]
    params.check(values)


def test_all_problems_are_told_at_once(values):
    put(values, "lora.r", "16")
    put(values, "lora.rank", 16)
    put(values, "training.learning_rate", -1)
    put(values, "prompt.template", "none")
    put(values, "evaluation_sets", [{**HUB_SET, "rows": 0}])
    drop(values, "grading")
    assert [line.split(": ")[1] for line in sorted(problems(values))] == [
        "evaluation_sets[0].rows",
        "grading",
        "lora.r",
        "lora.rank",
        "prompt.template",
        "training.learning_rate",
    ]


@pytest.mark.parametrize(
    "value", ["a\nb", "a\u2028b", "x" * 10_000, ["y"] * 10_000, {"z" * 99: "y"}, 16**5000], ids=range(6)
)
def test_a_line_stays_one_short_line_whatever_the_value(value, values):
    put(values, "lora.r", value)
    line = the_problem(values)
    assert line.isprintable()
    assert len(line) < 300


def test_a_line_stays_one_line_whatever_the_key(values):
    values["a\nb"] = 1
    assert the_problem(values) == r"params.yaml: 'a\nb': unknown key: remove it"


def test_unsloth_does_not_compute_in_float32(values):
    values["model"] |= {"backend": "unsloth", "dtype": "float32"}
    values["training"]["padding_free"] = True
    assert the_problem(values).startswith("params.yaml: model.dtype: 'float32': unsloth ")


# --- evaluation sets --------------------------------------------------------------------------------------------------


def test_evaluation_sets_may_come_from_the_hub_from_files_and_from_a_package(values):
    values["evaluation_sets"] = [HUB_SET, FILES_SET, PACKAGE_SET]
    assert [one.source for one in params.check(values).evaluation_sets] == ["hub", "files", "package"]


@pytest.mark.parametrize("one", [HUB_SET, FILES_SET, PACKAGE_SET], ids=["hub", "files", "package"])
def test_paths_into_an_evaluation_set_read_as_in_the_file(one, values):
    for key, value in command.leaves(one):
        if key == "source":
            continue
        changed = copy.deepcopy(one)
        drop(changed, key)
        values["evaluation_sets"] = [HUB_SET, changed]
        assert the_problem(values).startswith(f"params.yaml: evaluation_sets[1].{key}: missing: ")
        changed = copy.deepcopy(one)
        put(changed, key, wrong_type(key, value))
        values["evaluation_sets"] = [HUB_SET, changed]
        assert f"params.yaml: evaluation_sets[1].{key}: {wrong_type(key, value)!r}: " in the_problem(values) + ": "
        changed = copy.deepcopy(one)
        put(changed, f"{key}x", value)
        values["evaluation_sets"] = [HUB_SET, changed]
        last = key.split(".")[-1]
        assert the_problem(values) == f"params.yaml: evaluation_sets[1].{key}x: unknown key: did you mean {last}?"


def test_a_key_called_hub_or_files_stays_in_the_path(values):
    for key in ("dataset.hub.revision", "model.hub.path", "dataset.files.columns.question"):
        put(values, key, 5)
    values["evaluation_sets"] = [{**HUB_SET, "hub": {**HUB_SET["hub"], "split": 5}}, {**FILES_SET, "hub": {}}]
    assert [line.split(": ")[1] for line in sorted(problems(values))] == [
        "dataset.files.columns.question",
        "dataset.hub.revision",
        "evaluation_sets[0].hub.split",
        "evaluation_sets[1].hub",
        "model.hub.path",
    ]


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ({**HUB_SET, "source": "web"}, "evaluation_sets[0].source: 'web': must be one of 'hub', 'files', 'package'"),
        ({}, "evaluation_sets[0].source: missing: add it"),
        (5, "evaluation_sets[0]: 5: must be a mapping"),
        ({**HUB_SET, "name": "train"}, "evaluation_sets: the names ['train']"),
        ({**HUB_SET, "name": "Med QA"}, "evaluation_sets[0].name: 'Med QA': must be small letters"),
        ({**HUB_SET, "options": ["yes", "no"]}, "evaluation_sets[0]: a set of kind choice needs either"),
        ({**HUB_SET, "kind": "open"}, "evaluation_sets[0]: a set of kind choice needs either"),
        ({**HUB_SET, "columns": {**HUB_SET["columns"], "options": None}}, "evaluation_sets[0]: a set of kind choice"),
    ],
)
def test_an_evaluation_set_that_cannot_be_asked_is_one_line(one, said, values):
    values["evaluation_sets"] = [one]
    assert the_problem(values).startswith(f"params.yaml: {said}")


def test_names_of_evaluation_sets_are_not_shared(values):
    values["evaluation_sets"] = [HUB_SET, {**FILES_SET, "name": HUB_SET["name"]}]
    assert the_problem(values).startswith("params.yaml: evaluation_sets: the names ['medqa'] are given twice")


# --- files that are no params at all ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "null: must be a mapping"),
        ("# nothing\n", "null: must be a mapping"),
        ("- a\n", "['a']: must be a mapping"),
        ("plain words\n", "'plain words': must be a mapping"),
        (lined("  r: 16\n  r: 8"), 'duplicate key "r"'),
        (TEXT + "\nlora:\n  r: 3\n", 'duplicate key "lora"'),
        (lined("\tr: 16"), f"line {LINE}: not valid YAML: found character '\\t'"),
        (lined("  r: [16"), "not valid YAML"),
        (lined("  r: 16: 17"), f"line {LINE}: not valid YAML"),
        (lined("  r: *rank"), f"line {LINE}: not valid YAML: found undefined alias"),
        (lined("  r: !!python/name:os.system"), f"line {LINE}: not valid YAML"),
        (lined("  r: " + "9" * 5000), "not valid YAML"),
        (lined("  r: 0x" + "f" * 5000), "lora.r: a huge number: must be"),
        (lined("  r: 2024-01-01"), "lora.r: datetime.date(2024, 1, 1): must be"),
        (lined("  r: .inf"), "lora.r: inf: must be"),
        (lined("  r: yes"), "lora.r: 'yes': must be"),
        (lined("  r:"), "lora.r: null: must be"),
        (lined("  r: 16\n  7: 8"), "lora"),
        (TEXT + "\n? [a, b]\n: 1\n", "unknown key: remove it"),
        (TEXT + "\n---\na: 1\n", "another document"),
        ("a: &a [1]\n" + lined("  r: &r [*r]"), "r"),
        ("\x00", "not valid YAML"),
        (b"lora: \xff", "UTF-8"),
    ],
    ids=[str(number) for number in range(23)],
)
def test_what_is_no_params_file_is_one_clear_line_each(text, said, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        params.load(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(path)) and len(line) < 400 + len(str(path)) for line in lines)
    assert len(lines) == 1 + text.startswith("a: &a" if isinstance(text, str) else b"a: &a")
    assert said in str(caught.value)


def test_a_bomb_of_anchors_is_refused_in_short(tmp_path):
    levels = "".join(f"{one}: &{one} [{', '.join([f'*{before}'] * 9)}]\n" for before, one in pairwise("abcdefghi"))
    path = tmp_path / "params.yaml"
    path.write_text(f"a: &a [x]\n{levels}" + lined("  r: *i"), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        params.load(path)
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize(
    "text",
    [
        lined("  r: &rank 16").replace("lora_alpha: 32", "lora_alpha: *rank"),
        lined("  <<: {r: 16}"),
        "\ufeff" + TEXT,
        TEXT.replace("\n", "\r\n"),
    ],
    ids=["anchor", "merge key", "byte order mark", "windows"],
)
def test_the_same_values_in_another_writing_are_valid(text, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode())
    assert params.load(path).lora.r == 16


# --- a stage with bad params ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stage", ["fetch_dataset", "format_prompts", "baseline_infer", "finetune_lora", "post_infer", "compare"]
)
def test_a_stage_refuses_bad_params_before_any_heavy_import(stage, workplace):
    shutil.copytree(ROOT / "stages", workplace / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    text = lined("  r: many").replace("  learning_rate: ", "  learning_rte: ")
    (workplace / "params.yaml").write_text(text, encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"stages.{stage}"], capture_output=True, text=True, env=environment
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.returncode == 1
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 30
    imports = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if line.startswith("import time:")}
    said = [line for line in ended.stderr.splitlines() if not line.startswith("import time:")]
    assert "pydantic" in imports
    assert (
        not {"torch", "transformers", "datasets", "trl", "peft", "wandb", "pandas", "pyarrow", "scipy", "matplotlib"}
        & imports
    )
    assert sorted(line.split(": ")[:3] for line in said) == [
        [stage, "params.yaml", "lora.r"],
        [stage, "params.yaml", "training.learning_rate"],
        [stage, "params.yaml", "training.learning_rte"],
    ]
    assert not (workplace / "data").exists()
    assert not (workplace / "metrics").exists()


@pytest.mark.parametrize(("preset", "status"), [("cpu", 3), ("gpu-8b", 0), ("gpu-8b-24gb", 0), ("h100-8b", 0)])
def test_the_makefile_is_told_whether_a_preset_needs_the_gpu_libraries(workplace, preset, status):
    command.main(["use", preset])
    assert command.main(["needs-gpu"]) == status
