"""A real `dvc repro` in a fresh clone, on a model of two layers: every stage runs once, then only what changed."""

import json
import re
import shutil
import sys

import pytest

from stages.files import records
from tests import warm
from tests.clones import commit, outputs, run
from tests.test_dvc import ORDER

pytestmark = pytest.mark.slow  # each test goes on from what the one before left: `--dist loadfile` keeps them together


def ran(out):
    """The stages that a run of DVC says it ran."""
    return [name for name in ORDER if f"Running stage '{name}'" in out]


def repro(clone):
    """The stages that a `dvc repro` ran."""
    return ran(run(clone, "dvc", "repro").stdout)


@pytest.fixture(scope="module", autouse=True)
def _warm():
    """Have `run` find the programs that have their libraries already."""
    with warm.programs() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.clones.BIN", folder)
        yield


@pytest.fixture(scope="module")
def clone(clones, tmp_path_factory, _warm):
    """A copy of the first clone after its first `dvc repro`, where all is committed."""
    return shutil.copytree(clones.first, tmp_path_factory.mktemp("clone") / "project with a space", symlinks=True)


def edit(clone, name, old, new):
    path = clone / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_everything_runs_and_is_written(clones, clone):
    assert ran(clones.done.stdout) == ORDER
    compare = json.loads((clone / "metrics/compare.json").read_text())
    assert {"n", "before", "after", "diff", "ci_low", "ci_high"} <= set(compare["heldout"])
    assert compare["heldout"]["n"] == 8
    assert sorted(path.name for path in (clone / "models/adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    costs = {path.stem: json.loads(path.read_text()) for path in (clone / "metrics/costs").iterdir()}
    assert set(costs) == set(ORDER)
    assert all(cost["seconds"] > 0 and cost["memory_gb"] > 0 for cost in costs.values())


def test_metrics_and_plots_show(clone):
    shown = run(clone, "dvc", "metrics", "show").stdout
    assert {"before", "after", "diff", "ci_low", "ci_high", "verdict"} <= set(shown.split())
    assert max(map(len, shown.splitlines())) <= 240
    costs = [path.relative_to(clone).as_posix() for path in (clone / "metrics/costs").iterdir()]
    assert "seconds" in run(clone, "dvc", "metrics", "show", *costs).stdout
    run(clone, "dvc", "plots", "show", "--out", "dvc_plots")
    page = (clone / "dvc_plots/index.html").read_text(encoding="utf-8")
    pictures = re.findall(r'<img[^>]* src="([^"]+\.svg)"', page)
    assert len(pictures) == 4
    for picture in pictures:  # they are there without a network and without a script
        assert "<svg" in (clone / "dvc_plots" / picture).read_text(encoding="utf-8")


def test_the_notebook_of_the_readme_answers_as_the_pipeline_did(clone, committed):
    """The README's code as it stands there, but for the two values that the tiny preset has otherwise."""
    readme = (clone / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(# in your own notebook\n.*?)```", readme, re.DOTALL)
    assert len(code.partition("import ")[2].split("\n\n")[1].splitlines()) == 6
    for given, tiny in (
        (f"torch.{committed['model']['dtype']})", "torch.float32)"),
        (f"max_new_tokens={committed['generation']['max_new_tokens']},", "max_new_tokens=12,"),
    ):
        assert given in code
        code = code.replace(given, tiny)
    question = re.search(r'^question = "(.*)"$', code, re.MULTILINE)[1]
    [row] = [one for one in records.read(clone / "data/prompts/evaluation.jsonl") if question in one["prompt"]]
    before, after = (
        {one["id"]: one["text"] for one in records.read(clone / f"data/answers/{arm}.jsonl")}[row["id"]]
        for arm in ("baseline", "post")
    )
    run(clone, "python", "-m", "stages.model", "where")
    assert run(clone, sys.executable, "-c", code, HF_HUB_OFFLINE="1").stdout == f"{after}\n"
    assert before != after


def test_a_second_repro_runs_nothing(clone):
    assert repro(clone) == []
    assert "Data and pipelines are up to date." in run(clone, "dvc", "repro").stdout


def test_git_is_clean_but_for_metrics_lock_params_and_what_was_changed_before(clones):
    changed = {line[3:].split("/")[0] for line in clones.changed}
    assert changed <= {"metrics", "dvc.lock", "params.yaml", "staged.txt", "unknown.txt"}


def test_an_experiment_with_another_learning_rate_reruns_training_and_what_follows(clone):
    out = run(clone, "dvc", "exp", "run", "-S", "training.learning_rate=5e-5").stdout
    assert ran(out) == ["finetune_lora", "post_infer", "compare"]
    assert "5e-05" in run(clone, "dvc", "exp", "show", "--csv").stdout


def test_a_param_changed_back_comes_from_the_run_cache_here_and_in_another_clone(clone, tmp_path):
    """compare runs again: DVC's run cache keeps no stage with a report that Git keeps."""
    run(clone, "git", "checkout", "-q", "params.yaml")
    assert repro(clone) == ["compare"]
    remote = tmp_path / "remote"
    run(clone, "dvc", "remote", "add", "-d", "folder", str(remote))
    commit(clone, "a remote")
    run(clone, "dvc", "push", "-q", "--run-cache")
    other = tmp_path / "other"
    run(clone, "git", "clone", "-q", ".", str(other))
    run(other, "dvc", "pull", "-q", "--run-cache")
    assert repro(other) == []
    (other / "dvc.lock").unlink()  # so that each stage is looked for in the run cache
    assert repro(other) == ["compare"]
    assert outputs(other) == outputs(clone)


WORDING = [  # file, and a text in it whose edit makes nothing stale
    ("stages/files/errors.py", "run `dvc repro`, which makes it again"),
    ("stages/params/__init__.py", "add it (presets/cpu.yaml"),
    ("stages/model/model_errors.py", "choose another model"),
    ("stages/model/architecture.py", "leave one out"),
    ("stages/data/data_errors.py", "convert the file"),
    ("stages/generate/generation_errors.py", "ask shorter questions"),
    ("stages/train/training_errors.py", "lower training.learning_rate"),
    ("stages/runtime/stage.py", "goes on from here"),
    ("stages/runtime/tracking.py", "training goes on without it"),
]


def test_another_wording_runs_nothing_but_the_report(clone):
    """The text of an error, the signal handler, tracking and the report's page."""
    for name, text in WORDING:
        edit(clone, name, text, text.upper())
    assert run(clone, "dvc", "status").stdout == "Data and pipelines are up to date.\n"  # or the stale files' names
    assert repro(clone) == []
    edit(clone, "stages/report/caveats.py", "research software", "RESEARCH SOFTWARE")
    assert repro(clone) == ["compare"]
    run(clone, "git", "checkout", "-q", "stages")
    assert repro(clone) == ["compare"]


def asked(clone, stage):
    """How many answers a stage wrote anew in this run: what its journal grew by."""
    return sum(
        line.count('"token_ids"') for path in (clone / ".cache/answers").glob(f"{stage}-*") for line in path.open()
    )


def test_a_free_question_or_another_set_trains_nothing_and_asks_only_what_is_new(clone):
    mine = [("What is 4 + 4?", "8"), ("And 9 + 9?", "18"), ("And 5 + 5?", "10")]  # the last is of the test split
    lines = [json.dumps({"q": question, "a": answer}) + "\n" for question, answer in mine]
    (clone / "data/input/mine.jsonl").write_text("".join(lines))
    entry = """evaluation_sets:
  - name: mine
    kind: number
    source: files
    data_files: [mine.jsonl]
    columns: {question: q, options: null, answer: a, context: null, group: null}
    answer_key: null
    options: null
    rows: 10
"""
    expected = ["fetch_dataset", "format_prompts", "baseline_infer", "post_infer", "compare"]
    question = ("free_questions:\n", "free_questions:\n  - Is this new?\n")
    for edits, count in (
        ([question, ("evaluation_sets:\n  []\n", entry)], 3),
        ([("rows: 10\n", "rows: 1\n")], 0),
        ([(entry.replace("rows: 10", "rows: 1"), "evaluation_sets:\n  []\n")], 0),
    ):
        before = {stage: asked(clone, stage) for stage in ("baseline_infer", "post_infer")}
        for old, new in edits:
            edit(clone, "params.yaml", old, new)
        stages = repro(clone)
        assert set(stages) <= set(expected), (edits, stages)
        for stage, number in before.items():
            assert asked(clone, stage) == number + count, (edits, stage)


def test_the_answers_that_are_found_again_are_those_of_a_run_from_nothing(clone, tmp_path):
    fresh = tmp_path / "fresh"
    run(clone, "git", "clone", "-q", ".", str(fresh))
    (fresh / "params.yaml").write_bytes((clone / "params.yaml").read_bytes())
    (fresh / "data/input/mine.jsonl").write_bytes((clone / "data/input/mine.jsonl").read_bytes())
    assert repro(fresh) == ORDER
    assert outputs(fresh) == outputs(clone)
    run(clone, "git", "checkout", "-q", "params.yaml")
    (clone / "data/input/mine.jsonl").unlink()
    assert repro(clone) == ["compare"]


def test_a_changed_scale_asks_again_and_trains_nothing(clone):
    edit(clone, "params.yaml", "scale: 1.0", "scale: 0.0")
    assert repro(clone) == ["post_infer", "compare"]
    assert (clone / "data/answers/post.jsonl").read_bytes() == (clone / "data/answers/baseline.jsonl").read_bytes()
    compare = json.loads((clone / "metrics/compare.json").read_text())
    assert compare["heldout"]["verdict"] == "no difference shown"


def test_a_bad_param_stops_in_one_line_and_the_way_back_takes_seconds(clone):
    repro(clone)
    before = outputs(clone)
    edit(clone, "params.yaml", "num_train_epochs: 4", "num_train_epochs: many")
    done = run(clone, "dvc", "repro", check=False)
    assert done.returncode != 0
    assert "finetune_lora: params.yaml: training.num_train_epochs: 'many'" in done.stderr
    assert "Traceback" not in done.stderr
    edit(clone, "params.yaml", "num_train_epochs: many", "num_train_epochs: 4")
    assert repro(clone) == []
    assert outputs(clone) == before
