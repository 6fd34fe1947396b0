"""Whatever is wrong with params.yaml: a stage ends at once, with a line for each problem, and changes nothing.

What is right survives being written and read; and one change of it is either right too or one of those problems.
"""

import contextlib
import copy
import json
import os
import re
import resource
import subprocess
import sys
import time
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import params
from stages.files.errors import UserError
from stages.params.conflicts import most_steps
from stages.runtime import stage
from tests.conftest import ROOT
from tests.test_params import FILES_SET, HUB_SET, LEAVES, TEXT, VALUES, drop, lined, put, written, wrong_type
from tests.values import ANYTHING, GOOD, KEYS

HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "trl",
    "peft",
    "wandb",
    "pandas",
    "pyarrow",
    "scipy",
    "numpy",
    "datasketch",
}
REMEDY = re.compile(
    r"must |did you mean|\b(?:add|remove|rename|correct|choose|set|lower|put|save|write|name|run|make|shorten)\b"
)


def sets(*changes):
    """The committed text with evaluation sets that differ from good ones by these changes."""
    return written("evaluation_sets", json.dumps([{**FILES_SET, **change} for change in changes]))


def as_yaml(values):
    """Values as YAML in one line; JSON, but for the letters outside of ASCII."""
    text = json.dumps(values, ensure_ascii=False)
    return re.sub(r"[^ -~]", lambda match: f"\\U{ord(match[0]):08x}", text)


def several(**values):
    """The committed text with other values for several keys, written with __ for a dot."""
    changed = copy.deepcopy(VALUES)
    for key, value in values.items():
        put(changed, key.replace("__", "."), value)
    return as_yaml(changed)


COLUMNS = FILES_SET["columns"]
FIXED = {"columns": {**COLUMNS, "options": None}}
NO_LAYERS = {"model__source": "random", "lora__layers_to_transform": [0, 29]}
UNSLOTH = {"model__backend": "unsloth", "training__packing": False, "training__padding_free": False}
NO_WARMUP = {"training__lr_scheduler_type": "constant", "training__warmup_steps": 9}
NO_LOSS = {"training__eval_strategy": "steps", "training__eval_steps": 226, "training__max_steps": -1}
NO_LOSS |= {"training__num_train_epochs": 1, "training__per_device_train_batch_size": 2, "dataset__train_rows": 450}
NO_LOSS |= {"training__gradient_accumulation_steps": 1}
MALFORMED = [
    # Not a file of YAML at all.
    ("nothing", "", ["null: must be a mapping"]),
    ("blanks", " \n \n", ["null: must be a mapping"]),
    ("comment alone", "# lora: {r: 8}\n", ["null: must be a mapping"]),
    ("two documents", TEXT + "---\n" + TEXT, ["another document"]),
    ("list at the top", "- lora\n- training\n", ["must be a mapping"]),
    ("word at the top", "lora", ["'lora': must be a mapping"]),
    ("number at the top", "16", ["16: must be a mapping"]),
    ("NaN at the top", ".nan", ["nan: must be a mapping"]),
    ("latin-1", TEXT.replace("lora:", "löra:").encode("latin-1"), ["not UTF-8"]),
    ("utf-16", TEXT.encode("utf-16"), ["not UTF-8"]),
    ("utf-16 without a mark", TEXT.encode("utf-16-le"), ["not valid YAML"]),
    ("utf-32", TEXT.encode("utf-32"), ["not UTF-8"]),
    ("NUL", b"\0" + TEXT.encode(), ["not valid YAML"]),
    ("bell", TEXT + "\a", ["not valid YAML"]),
    ("gzip", b"\x1f\x8b\x08\0\0\0\0\0", ["not UTF-8"]),
    ("huge", TEXT + "# and so on\n" * 10_000, ["bytes, and at most 64,000 are read"]),
    ("deep", lined("  r: " + "[" * 5000), ["not valid YAML"]),
    ("deep and closed", lined("  r: " + "[" * 300 + "]" * 300), ["lora.r: [[[...]]]: must be"]),
    # YAML that does not parse.
    ("tab", lined("\tr: 16"), ["found character '\\t'"]),
    ("open bracket", lined("  r: [16"), ["not valid YAML"]),
    ("open quote", lined("  r: '16"), ["not valid YAML"]),
    ("open brace", lined("  r: {a: 16"), ["not valid YAML"]),
    ("two colons", lined("  r: 16: 17"), ["mapping values are not allowed"]),
    ("no colon", lined("  r 16"), ["not valid YAML"]),
    ("full-width colon", lined("  r：16"), ["not valid YAML"]),
    ("less indented", lined(" r: 16"), ["not valid YAML"]),
    ("unknown alias", lined("  r: *rank"), ["undefined alias"]),
    ("duplicate key", lined("  r: 16\n  r: 8"), ['duplicate key "r"']),
    ("duplicate section", TEXT + "\nlora: {}\n", ['duplicate key "lora"']),
    ("escapes in a duplicate", TEXT + '\n"\\e[31m": 1\n"\\e[31m": 2\n', ["duplicate key"]),
    ("python tag", lined("  r: !!python/object/apply:os.system [true]"), ["not valid YAML"]),
    ("own tag", lined("  r: !rank 16"), ["not valid YAML"]),
    ("truth that is none", lined("  r: !!bool perhaps"), ["not valid YAML"]),
    ("integer that is none", lined("  r: !!int ''"), ["not valid YAML"]),
    ("float that is none", lined("  r: !!float ''"), ["not valid YAML"]),
    ("day that is none", lined("  r: 2026-99-99"), ["not valid YAML"]),
    ("letter that is none", lined('  r: "\\UFFFFFFFF"'), ["not valid YAML"]),
    ("number of many digits", lined("  r: " + "9" * 5000), ["not valid YAML"]),
    ("key that is a mapping", TEXT + "\n? {a: 1}\n: 2\n", ["not valid YAML"]),
    ("YAML 3", "%YAML 3.0\n---\n" + TEXT, ["not valid YAML"]),
    # Keys.
    ("anchor beside", "rank: &rank 16\n" + lined("  r: *rank"), ["rank: unknown key: remove it"]),
    ("list that holds itself", lined("  r: &r [*r]"), ["lora.r: ", "must be"]),
    ("unknown section", TEXT + "\nlogging: {level: debug}\n", ["logging: unknown key: "]),
    ("invisible letter", lined("  r\u200b: 16"), ["lora.r: missing", "lora.'r\\u200b': unknown key"]),
    ("key of another case", lined("  R: 16"), ["lora.r: missing", "lora.R: unknown key"]),
    ("number as a key", lined("  r: 16\n  7: 8"), ["lora.7: unknown key: remove it"]),
    ("day as a key", TEXT + "\n2026-01-01: 1\n", ["unknown key: remove it"]),
    ("null as a key", TEXT + "\n~: 1\n", ["unknown key: remove it"]),
    ("thousands of keys", TEXT + "".join(f"\nk{n}: 1" for n in range(3000)), ["and 2,900 more: correct these first"]),
    ("section that is a list", several(lora=[1, 2]), ["lora: [1, 2]: must be a mapping"]),
    ("section that is null", several(training=None), ["training: null: must be a mapping"]),
    # Values of the wrong type or out of range.
    ("text for a number", lined("  r: sixteen"), ["lora.r: 'sixteen': must be"]),
    ("quoted number", lined("  r: '16'"), ["lora.r: '16': must be"]),
    ("decimal for an integer", lined("  r: 16.0"), ["lora.r: 16.0: must be"]),
    ("power of ten for an integer", written("dataset.train_rows", "1e3"), ["dataset.train_rows: 1000.0: must be"]),
    ("truth for a number", lined("  r: true"), ["lora.r: true: must be"]),
    ("day for a number", lined("  r: 2026-01-01"), ["lora.r: datetime.date"]),
    ("bytes for a number", lined("  r: !!binary aGk="), ["lora.r: b'hi': must be"]),
    ("set for a list", written("lora.target_modules", "!!set {q_proj}"), ["lora.target_modules: {'q_proj'}: must be"]),
    ("text for a list", written("lora.target_modules", "q_proj"), ["lora.target_modules: 'q_proj': must be"]),
    ("empty list", written("lora.target_modules", "[]"), ["lora.target_modules: []: "]),
    ("list of a list", written("lora.target_modules", "[[q_proj]]"), ["lora.target_modules[0]: ['q_proj']: must be"]),
    ("nothing", lined("  r:"), ["lora.r: null: must be"]),
    ("negative", lined("  r: -16"), ["lora.r: -16: must be"]),
    ("zero", lined("  r: 0"), ["lora.r: 0: must be"]),
    ("huge in hexadecimal", lined("  r: 0x" + "f" * 4000), ["lora.r: a huge number: must be"]),
    ("NaN", written("training.learning_rate", ".nan"), ["training.learning_rate: nan: must be"]),
    ("infinity", written("training.learning_rate", ".inf"), ["training.learning_rate: inf: must be"]),
    ("too large for a float", written("training.learning_rate", "1e999"), ["training.learning_rate: inf: must be"]),
    ("too small for a float", written("training.learning_rate", "1e-999"), ["training.learning_rate: 0.0: must be"]),
    ("learning rate of a slip", written("training.learning_rate", "2"), ["training.learning_rate: 2: must be"]),
    ("decimal comma", written("training.learning_rate", "0,002"), ["training.learning_rate: '0,002': must be"]),
    ("no steps", written("training.max_steps", "0"), ["training.max_steps: 0: must be at least 1, or -1"]),
    (
        "no of YAML 1.1",
        "%YAML 1.1\n---\n" + written("training.eval_strategy", "no"),
        ["training.eval_strategy: false: "],
    ),
    ("alpha of nothing", written("lora.lora_alpha", "0"), ["lora.lora_alpha: 0: must be"]),
    ("branch for a commit", written("model.hub.revision", "main"), ["model.hub.revision: 'main': must be a commit"]),
    (
        "folder for the hub's name",
        written("dataset.hub.path", "./data/input"),
        ["dataset.hub.path: './data/input': must be"],
    ),
    ("address for the hub's name", written("model.hub.path", "https://hf.co/a/b"), ["model.hub.path: 'https://"]),
    ("path for a package", written("model.package.name", "../llm"), ["model.package.name: '../llm': must be"]),
    ("dots for a package", written("model.package.name", "a.b"), ["model.package.name: 'a.b': must be"]),
    ("path for a GGUF file", written("model.package.gguf_file", "/x.gguf"), ["model.package.gguf_file: '/x.gguf': "]),
    ("half a character", several(free_questions=["\ud800?"]), ["free_questions[0]: '\\ud800?': must be"]),
    ("template without a place", several(prompt__template="Answer!"), ["prompt.template: 'Answer!': must be"]),
    ("template with two", several(prompt__template="{question} {question}"), ["prompt.template: '{question} "]),
    # Values that cannot go together.
    (
        "module twice",
        written("lora.target_modules", "[q_proj, q_proj]"),
        ["lora.target_modules: ", "'q_proj' comes again"],
    ),
    ("layer twice", written("lora.layers_to_transform", "[1, 2, 1]"), ["lora.layers_to_transform: ", "1 comes again"]),
    ("layer 0 twice", written("lora.layers_to_transform", "[0, 0]"), ["lora.layers_to_transform: ", "0 comes again"]),
    ("long question twice", several(free_questions=["Why? " * 200] * 2), ["free_questions: ", "Why? ' comes again"]),
    ("score twice", written("dataset.builtin.scores", "[qSOFA, qSOFA]"), ["dataset.builtin.scores: ", "comes again"]),
    ("free question twice", several(free_questions=["Why?", "Why?"]), ["free_questions: ", "'Why?' comes again"]),
    (
        "file twice",
        written("dataset.files.data_files", "[a.csv, a.csv]"),
        ["dataset.files.data_files: ", "comes again"],
    ),
    (
        "hidden file",
        written("dataset.files.data_files", "[a/.json]"),
        ["dataset.files.data_files[0]: 'a/.json': must be"],
    ),
    (
        "column twice",
        written("dataset.files.columns.response", "Question"),
        ["question and response are both 'Question'"],
    ),
    (
        "column of a set twice",
        sets({"columns": {**COLUMNS, "answer": "question"}}),
        ["evaluation_sets[0].columns: question"],
    ),
    (
        "option twice",
        sets({**FIXED, "options": ["yes", "no", " Yes"]}),
        ["evaluation_sets[0].options: ", "'yes' comes"],
    ),
    ("one option", sets({**FIXED, "options": ["yes"]}), ["evaluation_sets[0].options: ['yes']: "]),
    ("choice without options", sets(FIXED), ["evaluation_sets[0]: a set of kind choice needs either"]),
    ("options of no choice", sets({"kind": "open"}), ["evaluation_sets[0]: a set of kind choice needs either"]),
    (
        "reserved name",
        sets({"name": "heldout"}),
        ["evaluation_sets: the names ['heldout'] are given twice or reserved"],
    ),
    ("name twice", sets({}, {}), ["evaluation_sets: the names ['mine'] are given twice or reserved"]),
    ("source of no kind", sets({"source": "web"}), ["evaluation_sets[0].source: 'web': must be one of"]),
    (
        "unsloth in float32",
        several(model__backend="unsloth", model__dtype="float32"),
        ["model.dtype: 'float32': unsloth"],
    ),
    ("4 bits in float32", several(model__load_in_4bit=True, model__dtype="float32"), ["model.dtype: 'float32': 4-bit"]),
    ("kernels of two", several(**UNSLOTH, model__use_liger_kernel=True), ["model.use_liger_kernel: true: unsloth"]),
    ("padding for unsloth", several(**UNSLOTH), ["training.padding_free: false: rows go end to end"]),
    ("layers that are not there", several(**NO_LAYERS), ["lora.layers_to_transform: 29: the random model"]),
    ("held-out loss is not measured", several(**NO_LOSS), ["training.eval_steps: 226: at most 225 steps"]),
    ("warmup of the constant", several(**NO_WARMUP), ["training.warmup_steps: 9: the constant schedule has no warmup"]),
    (
        "three conflicts at once",
        several(**NO_LAYERS, **NO_LOSS, **NO_WARMUP),
        ["lora.layers_to_transform: 29: ", "training.eval_steps: 226: ", "training.warmup_steps: 9: "],
    ),
]
NAMES = [name for name, _, _ in MALFORMED]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ):
        yield tmp_path


@pytest.fixture
def refused(here, capsys):
    """Run a stage where params.yaml holds the given bytes; returns the lines it says, without its name."""

    def run(content):
        path = here / "params.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return refuse()

    def refuse():
        before, loaded = state(here), HEAVY & set(sys.modules)
        start = time.process_time()
        with pytest.raises(SystemExit) as ended:
            stage.run("a_stage", mock.Mock(side_effect=AssertionError("the stage began")))
        assert time.process_time() - start < 30  # seconds: no input makes it hang; how fast it is, no test says
        assert ended.value.code == 1
        assert HEAVY & set(sys.modules) == loaded
        assert state(here) == before
        out, err = capsys.readouterr()
        assert out == ""
        lines = err.splitlines()
        for line in lines:
            assert line.startswith("a_stage: params.yaml")
            assert line.isprintable()
            assert len(line) < 500
            assert REMEDY.search(line), line
        return [line.removeprefix("a_stage: ") for line in lines]

    run.as_it_is = refuse
    return run


def state(folder):
    """Everything in a folder, with its kind, its time and its bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[path] = (status.st_mode, status.st_mtime_ns, path.read_bytes() if path.is_file() else None)
    return found


# --- a stage with malformed params --------------------------------------------------------------------------------


def test_the_list_is_long():
    assert len(MALFORMED) >= 80
    assert len({content for _, content, _ in MALFORMED}) == len(MALFORMED)


@pytest.mark.parametrize(("content", "said"), [case[1:] for case in MALFORMED], ids=NAMES)
def test_malformed_params_are_a_line_a_problem_and_change_nothing(content, said, refused):
    lines = refused(content)
    assert lines
    for words in said:
        assert any(words in line for line in lines), lines


@pytest.mark.parametrize("key", LEAVES)
def test_a_key_that_is_missing_mistyped_or_misspelt_is_named(key, refused):
    for change, said in (
        (lambda values: drop(values, key), f"params.yaml: {key}: missing: add it"),
        (
            lambda values: put(values, key, wrong_type(key, LEAVES[key])),
            f"params.yaml: {key}: {wrong_type(key, LEAVES[key])!r}: ",
        ),
        (lambda values: put(values, f"{key}_", LEAVES[key]), f"params.yaml: {key}_: unknown key: did you mean "),
    ):
        values = copy.deepcopy(VALUES)
        change(values)
        (line,) = refused(json.dumps(values, ensure_ascii=False))
        assert line.startswith(said)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "link to itself", "link to nothing"])
def test_what_is_no_file_is_one_line_and_no_wait(kind, here, refused):
    path = here / "params.yaml"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link to itself":
            path.symlink_to(path)
        case "link to nothing":
            path.symlink_to("nowhere.yaml")
    (line,) = refused.as_it_is()
    said = {"folder": "a folder or a pipe", "pipe": "a folder or a pipe", "link to itself": "cannot be read"}
    assert said.get(kind, "not found") in line


BY_STAGE = dict(
    zip(
        ["fetch_dataset", "format_prompts", "baseline_infer", "finetune_lora", "post_infer", "compare"],
        ["list at the top", "thousands of keys", "utf-16", "no steps", "deep", "layers that are not there"],
        strict=True,
    )
)
REPORTING = (
    "import atexit, runpy, sys; atexit.register(lambda: print(sorted(set(sys.modules) & set(sys.argv[2:])))); "
    "runpy.run_module(sys.argv[1], run_name='__main__')"
)


@pytest.mark.parametrize(("name", "case"), BY_STAGE.items(), ids=BY_STAGE)
def test_a_real_stage_ends_early_and_imports_nothing_heavy(name, case, here):
    ((_, content, said),) = [one for one in MALFORMED if one[0] == case]
    (here / "params.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = state(here)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [sys.executable, "-B", "-c", REPORTING, f"stages.{name}", *HEAVY],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime < 30
    assert ended.returncode == 1
    assert ended.stdout == "[]\n"
    assert "Traceback" not in ended.stderr
    assert all(line.startswith(f"{name}: params.yaml") for line in ended.stderr.splitlines())
    assert all(words in ended.stderr for words in said)
    assert state(here) == before


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"max_steps": 7}, 7),
        ({"num_train_epochs": 1}, 225),
        ({"num_train_epochs": 0.5}, 113),
        ({"num_train_epochs": 3, "gradient_accumulation_steps": 4}, 171),
        ({"per_device_train_batch_size": 4096, "gradient_accumulation_steps": 4096}, 1),
    ],
)
def test_the_steps_are_those_that_the_trainer_would_make(changes, steps, values):
    values["training"] |= {"logging_steps": 1, "gradient_accumulation_steps": 1, "per_device_train_batch_size": 2}
    values["training"] |= {"max_steps": -1, "num_train_epochs": 1, "eval_strategy": "no", **changes}
    values["dataset"]["train_rows"] = 450
    assert most_steps(params.check(values)) == steps


# --- properties over all of the schema ------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(GOOD)
def test_all_that_the_schema_allows_is_valid_and_survives_writing(values):
    loaded = params.check(copy.deepcopy(values))
    assert loaded.model_dump() == values
    again = params.parse(as_yaml(loaded.model_dump()), "params.yaml")
    assert params.check(again) == loaded


def places(values):
    """The sections and lists of nested values, with each of their keys."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        yield values, key
        if isinstance(value, dict | list):
            yield from places(value)


def loads_or_is_refused(load):
    try:
        load()
    except UserError as error:
        lines = str(error).splitlines()
        assert lines
        for line in lines:
            assert line.startswith("params.yaml")
            assert line.isprintable(), line
            assert len(line) < 500


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_one_changed_value_loads_or_is_refused(data):
    values = {**copy.deepcopy(VALUES), "evaluation_sets": [copy.deepcopy(HUB_SET), copy.deepcopy(FILES_SET)]}
    inside, key = data.draw(st.sampled_from(list(places(values))))
    what = data.draw(st.sampled_from(["other", "gone", "renamed", "swapped"]))
    if what == "other":
        inside[key] = data.draw(ANYTHING)
    elif what == "swapped":
        elsewhere, other = data.draw(st.sampled_from(list(places(values))))
        inside[key] = copy.deepcopy(elsewhere[other])
    else:
        value = inside.pop(key)
        if what == "renamed" and isinstance(inside, dict):
            inside[data.draw(KEYS)] = value
    loads_or_is_refused(lambda: params.check(values))


SNIPPETS = (
    *(": ", "- ", "\t", "# ", "{", "}", "[", "]", ",", "&a ", "*a", "!!int ", "!!bool ", "!!float ", "!!set ", "<<: "),
    *('"', "'", "\n", "\r", "|", ">", "%", "\0", "\x07", "\ufeff", "\x85", "\u2028", "\n---\n", "\n...\n", "? ", "~"),
    *("@", "`", "\\", "\\x", '"\\ud800"', "0x", "1e999", ".nan", "2026-99-99", "99:99:99", "null", "🩺", "\n\n  "),
)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, len(TEXT)), st.integers(0, 12), st.sampled_from(SNIPPETS) | st.text(max_size=5))
def test_one_changed_place_of_the_text_loads_or_is_refused(start, length, snippet):
    loads_or_is_refused(
        lambda: params.check(params.parse(TEXT[:start] + snippet + TEXT[start + length :], "params.yaml"))
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(TEXT.encode())), st.binary(min_size=1, max_size=3))
def test_bytes_that_are_no_text_load_or_are_refused(tmp_path_factory, start, extra):
    folder = tmp_path_factory.getbasetemp() / "bytes"
    folder.mkdir(exist_ok=True)
    raw = TEXT.encode()
    (folder / "params.yaml").write_bytes(raw[:start] + extra + raw[start:])
    with contextlib.chdir(folder):
        loads_or_is_refused(params.load)
