"""A real `dvc repro` in a fresh clone, on a model of two layers: every stage runs once, then only what changed."""

import json

import pytest

from tests.clones import commit, run, working_tree
from tests.test_dvc import ORDER

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipeline")]


def repro(clone):
    """The stages that a `dvc repro` ran."""
    out = run(clone, "dvc", "repro").stdout
    return [name for name in ORDER if f"Running stage '{name}'" in out]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The working tree's files as a fresh repository, with the tiny preset, after a first `dvc repro`."""
    clone = working_tree(tmp_path_factory.mktemp("clone") / "project with a space")
    run(clone, "python", "-m", "stages.params", "use", "tiny")
    assert repro(clone) == ORDER
    return clone


def edit(clone, name, old, new):
    path = clone / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_everything_is_written(clone):
    compare = json.loads((clone / "metrics/compare.json").read_text())
    assert {"n", "before", "after", "diff", "ci_low", "ci_high"} <= set(compare["heldout"])
    assert compare["heldout"]["n"] == 8
    assert sorted(path.name for path in (clone / "models/adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    costs = {path.stem: json.loads(path.read_text()) for path in (clone / "metrics/costs").iterdir()}
    assert set(costs) == set(ORDER)
    assert all(cost["seconds"] > 0 and cost["peak_memory_mb"] > 0 for cost in costs.values())


def test_metrics_and_plots_show(clone):
    shown = run(clone, "dvc", "metrics", "show").stdout
    assert "heldout.diff" in shown
    assert "seconds" in shown
    run(clone, "dvc", "plots", "show", "--out", "plots-out")


def test_a_second_repro_runs_nothing(clone):
    assert repro(clone) == []
    assert "Data and pipelines are up to date." in run(clone, "dvc", "repro").stdout


def test_git_is_clean_but_for_metrics_lock_and_params(clone):
    changed = {line[3:].split("/")[0] for line in run(clone, "git", "status", "--porcelain").stdout.splitlines()}
    assert changed <= {"metrics", "dvc.lock", "params.yaml", "plots-out"}


def test_a_changed_learning_rate_reruns_training_and_what_follows(clone):
    edit(clone, "params.yaml", "learning_rate: 2.0e-2", "learning_rate: 1.0e-2")
    assert repro(clone) == ["finetune_lora", "post_infer", "compare"]


def test_a_changed_scorer_reruns_compare_alone(clone):
    edit(clone, "stages/evaluate/grade.py", '"""Grade one answer', '"""Grade an answer')
    assert repro(clone) == ["compare"]


def test_a_changed_scale_asks_again_and_trains_nothing(clone):
    edit(clone, "params.yaml", "scale: 1.0", "scale: 0.0")
    assert repro(clone) == ["post_infer", "compare"]
    assert (clone / "data/answers/post.jsonl").read_bytes() == (clone / "data/answers/baseline.jsonl").read_bytes()
    compare = json.loads((clone / "metrics/compare.json").read_text())
    assert compare["heldout"]["verdict"] == "no difference shown"


def test_a_bad_param_stops_in_one_line_and_keeps_what_there_was(clone):
    before = (clone / "data/raw/train.jsonl").read_bytes()
    edit(clone, "params.yaml", "num_train_epochs: 4", "num_train_epochs: many")
    done = run(clone, "dvc", "repro", check=False)
    assert done.returncode != 0
    assert "finetune_lora: params.yaml: training.num_train_epochs: 'many'" in done.stderr
    assert "Traceback" not in done.stderr
    assert (clone / "data/raw/train.jsonl").read_bytes() == before
    edit(clone, "params.yaml", "num_train_epochs: many", "num_train_epochs: 4")


def test_an_experiment_runs_from_the_command_line(clone):
    repro(clone)
    commit(clone, "tiny")
    out = run(clone, "dvc", "exp", "run", "-S", "training.learning_rate=5e-5").stdout
    assert [name for name in ORDER if f"Running stage '{name}'" in out] == ["finetune_lora", "post_infer", "compare"]
    assert "5e-05" in run(clone, "dvc", "exp", "show", "--csv").stdout
