"""Own rows under `dvc add` are never lost: checkout, push and pull, queued experiments, a shared cache of symlinks."""

import csv
import json
from itertools import islice
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.data.sources import builtin
from stages.files import records
from tests.clones import commit, run, working_tree

pytestmark = pytest.mark.slow
NAMES = ["mine.jsonl", "more/mine.json", "folder/mine.csv"]
COLUMNS = {"question": "question", "reasoning": "reasoning", "response": "response", "answer": None, "group": None}


def tracked(clone):
    """Commit three files of rows under `dvc add`, one of them by its folder, and fetch them."""
    run(clone, "python", "-m", "stages.params", "use", "tiny")
    values = YAML().load(clone / "params.yaml")
    values["dataset"] |= {"source": "files", "files": {"data_files": NAMES, "columns": COLUMNS}}
    YAML().dump(values, clone / "params.yaml")
    (clone / "dvc.lock").unlink()  # it names outputs that this clone's cache does not have
    folder, rows = clone / "data/input", list(islice(builtin.rows(3), 90))
    for name in NAMES:
        (folder / name).parent.mkdir(exist_ok=True)
    (folder / NAMES[0]).write_text("".join(map(records.line, rows[:30])), encoding="utf-8")
    (folder / NAMES[1]).write_text(json.dumps(rows[30:60]), encoding="utf-8")
    with (folder / NAMES[2]).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows[60:])
    run(clone, "dvc", "add", *(f"data/input/{name}" for name in NAMES[:2]), "data/input/folder")
    commit(clone, "own rows")
    run(clone, "dvc", "repro", "fetch_dataset")
    commit(clone, "fetched")
    return clone


def contents(clone):
    """The files of rows, byte by byte."""
    return [(clone / "data/input" / name).read_bytes() for name in NAMES]


def kept(clone, experiment):
    """How many rows an experiment's fetch kept to learn from."""
    (found,) = run(clone, "git", "for-each-ref", "--format=%(refname)", f"refs/exps/**/{experiment}").stdout.split()
    lock = YAML(typ="safe").load(run(clone, "git", "show", f"{found}:dvc.lock").stdout)
    (md5,) = [out["md5"] for out in lock["stages"]["fetch_dataset"]["outs"] if out["path"] == "data/raw/train.jsonl"]
    return sum(
        1
        for _ in records.read(Path(run(clone, "dvc", "cache", "dir").stdout.strip()) / "files/md5" / md5[:2] / md5[2:])
    )


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A repository with own rows, where one stage has run: `--allow-missing` is for the outputs of the others."""
    return tracked(working_tree(tmp_path_factory.mktemp("own") / "mine"))


def test_git_has_the_dvc_files_and_no_rows(mine):
    listed = run(mine, "git", "ls-files", "data/input").stdout.split()
    names = ["README.md", ".gitignore", "mine.jsonl.dvc", "more/mine.json.dvc", "folder.dvc"]
    assert set(listed) == {f"data/input/{name}" for name in names}
    assert run(mine, "git", "status", "--porcelain").stdout == ""


def test_rows_survive_a_checkout_and_come_back_by_it(mine):
    before = contents(mine)
    assert run(mine, "dvc", "checkout", "--allow-missing").stdout.strip() == ""
    assert contents(mine) == before
    for name in NAMES:
        (mine / "data/input" / name).unlink()
    run(mine, "dvc", "checkout", "--allow-missing")
    assert contents(mine) == before


def test_rows_travel_by_push_clone_and_pull(mine, tmp_path):
    theirs = tmp_path / "theirs"
    run(mine, "git", "clone", "-q", str(mine), str(theirs))
    store = ("dvc", "remote", "add", "--local", "-f", "-d", "store", str(tmp_path / "store"))
    run(mine, *store)
    run(mine, "dvc", "push")
    run(theirs, *store)
    run(theirs, "dvc", "pull", "--allow-missing")
    assert contents(theirs) == contents(mine)
    assert run(theirs, "dvc", "status").stdout == run(mine, "dvc", "status").stdout


@pytest.mark.parametrize("how", ["--temp", "--queue"])
def test_experiments_outside_of_the_workspace_see_the_rows(how, mine):
    name = f"{how[2:]}-20"
    run(mine, "dvc", "exp", "run", how, "-n", name, "-S", "dataset.train_rows=20", "fetch_dataset")
    if how == "--queue":
        run(mine, "dvc", "exp", "run", "--run-all")
    assert kept(mine, name) == 20


def test_rows_that_are_links_into_a_shared_cache_are_read_here_and_in_an_experiment(tmp_path):
    clone = working_tree(tmp_path / "clone")
    run(clone, "dvc", "cache", "dir", str(tmp_path / "shared"))
    run(clone, "dvc", "config", "cache.type", "symlink")
    tracked(clone)
    link = clone / "data/input" / NAMES[0]
    assert link.is_symlink()
    assert link.resolve().is_relative_to(tmp_path / "shared")
    assert sum(1 for _ in records.read(clone / "data/raw/train.jsonl")) == 24
    run(clone, "dvc", "exp", "run", "--temp", "-n", "elsewhere", "-S", "dataset.train_rows=20", "fetch_dataset")
    assert kept(clone, "elsewhere") == 20
