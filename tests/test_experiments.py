"""Seeds, control and verdict: what is counted, what is refused, and that they leave the workspace alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from stages.evaluate import studies
from stages.experiments import __main__ as experiments
from stages.experiments import runs, study
from stages.files import records
from stages.files.errors import UserError
from stages.report import verdict
from tests.clones import BIN, NOT_PASSED_ON, ROOT, run

IDS = [records.fingerprint(number) for number in range(100)]
CSV = (
    "id,set,sample,before_correct,after_correct\nq1,medqa,0,False,True\nq1,medqa,1,False,False\nq2,medqa,0,True,True\n"
)


def with_(params, section, **values):
    return params.model_copy(update={section: getattr(params, section).model_copy(update=values)})


@pytest.fixture
def asked_test(tiny):
    return with_(tiny, "evaluation", split="test")


def ledger(path, *lines):
    path.write_text("\n" + "".join(map(records.line, lines)), encoding="utf-8")
    return path


def test_answers_are_means_over_the_samples_of_a_question():
    assert study.graded(CSV) == [
        {"set": "medqa", "record": {"id": "q1"}, "before": {"correct": 0.0}, "after": {"correct": 0.5}},
        {"set": "medqa", "record": {"id": "q2"}, "before": {"correct": 1.0}, "after": {"correct": 1.0}},
    ]


def test_a_study_is_shown_beside_its_own_run_alone(tmp_path, tiny):
    path, rows = tmp_path / "studies.json", study.graded(CSV)
    path.write_text("{}")
    assert studies.read(path, tiny, rows) == {"control": None, "seeds": None}
    seeds = {"key": studies.key(tiny, rows), "seeds": [42, 43]}
    path.write_text(json.dumps({"seeds": seeds}))
    assert studies.read(path, tiny, rows[::-1]) == {"control": None, "seeds": seeds}
    other = study.graded(CSV.replace("q2,medqa,0,True,True", "q2,medqa,0,True,False"))
    assert studies.read(path, tiny, other)["seeds"] is None
    assert studies.read(path, with_(tiny, "lora", r=2), rows)["seeds"] is None


@pytest.mark.parametrize("text", ["", "[]", '{"seeds": 1}', "<<<<<<< ours", "\udcff"])
def test_damaged_studies_are_one_clear_line(tmp_path, tiny, text):
    path = tmp_path / "studies.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(
        UserError, match=r"studies\.json: missing or damaged: `git checkout .*`, or write \{\} into it$"
    ):
        studies.read(path, tiny, [])


def test_validation_is_no_look(tmp_path, tiny):
    assert studies.looks(tmp_path / "none", tiny, {"heldout": IDS}) == {"heldout": 1}


def test_the_test_questions_are_refused_where_the_ledger_does_not_hold_the_look(tmp_path, tiny, asked_test):
    other = studies.look(with_(tiny, "lora", r=2), {"heldout": IDS})
    elsewhere = studies.look(tiny, {"heldout": ["others"]})
    for lines in ([], [other], [elsewhere]):
        with pytest.raises(UserError, match="test questions of heldout is not in it: run `make verdict`"):
            studies.looks(ledger(tmp_path / "ledger.jsonl", *lines), asked_test, {"heldout": IDS})


def test_a_look_counts_by_configuration_whatever_the_set_is_called_or_cut_to(tmp_path, tiny, asked_test):
    mine = studies.look(tiny, {"heldout": IDS, "medqa": ["m"]})
    scaled = studies.look(with_(tiny, "adapter", scale=0.5), {"heldout": IDS[:99]})
    renamed = studies.look(with_(tiny, "adapter", scale=0.6), {"mine": IDS})
    unlike = studies.look(with_(tiny, "adapter", scale=0.7), {"heldout": ["others"]})
    path = ledger(tmp_path / "ledger.jsonl", scaled, mine, renamed, mine, unlike, scaled)
    assert studies.looks(path, asked_test, {"heldout": IDS, "medqa": ["m"]}) == {"heldout": 3, "medqa": 1}
    assert studies.configuration(tiny) == studies.configuration(asked_test)


def test_other_rows_to_learn_from_are_another_look(tmp_path, tiny, asked_test):
    path = ledger(tmp_path / "ledger.jsonl", *(studies.look(tiny, {"heldout": IDS}, rows) for rows in ("ab", "ac")))
    assert studies.looks(path, asked_test, {"heldout": IDS}, iter("ba")) == {"heldout": 2}
    with pytest.raises(UserError, match="run `make verdict`"):
        studies.looks(path, asked_test, {"heldout": IDS}, "ad")


@pytest.mark.parametrize(("group", "n"), [(None, 1), ("g", 2)])
def test_one_question_or_group_has_rates_and_no_recipe(group, n):
    rows = [
        {"set": "mine", "record": {"id": str(i)}, "before": {"correct": 0.0}, "after": {"correct": 1.0}}
        for i in range(n)
    ]
    known = {("mine", str(i)): group for i in range(n)}
    assert study._recipe("mine", {42: rows, 43: rows}, known) == {"after": [1.0, 1.0], "recipe": None}
    assert verdict.recipe({"mine": {}}, {"seeds": [42, 43], "sets": {"mine": {"recipe": None}}}) == []


@pytest.mark.parametrize("text", ["<<<<<<< ours", "[]", '{"configuration": "a"}', '{"configuration": 1, "sets": {}}'])
def test_a_damaged_ledger_is_one_clear_line(tmp_path, asked_test, text):
    path = ledger(tmp_path / "ledger.jsonl", {"configuration": "a", "sets": {"heldout": ["1"]}})
    with path.open("a") as file:
        file.write(text + "\n")
    with pytest.raises(UserError, match=r"ledger\.jsonl, line 3: damaged: restore it from Git; .* lines of both$"):
        studies.looks(path, asked_test, {"heldout": IDS})
    with pytest.raises(UserError, match="missing or damaged"):
        studies.looks(tmp_path / "none", asked_test, {"heldout": IDS})


def test_two_ledgers_merge_as_the_lines_of_both(tmp_path, tiny, asked_test):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    (tmp_path / "metrics").mkdir()
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    path, looked = tmp_path / studies.LEDGER, {"heldout": IDS}
    ours, theirs = (studies.look(with_(tiny, "adapter", scale=scale), looked) for scale in (1.0, 0.5))
    run(tmp_path, *git, "init", "-qb", "main")
    for branch, lines in (("main", []), ("theirs", [theirs]), ("main", [ours])):
        run(tmp_path, *git, "checkout", "-q", *(["-b"] if branch == "theirs" else []), branch, check=branch == "theirs")
        ledger(path, *lines)
        run(tmp_path, *git, "add", "-A")
        run(tmp_path, *git, "commit", "-qm", branch)
    run(tmp_path, *git, "merge", "-q", "theirs")
    assert studies.looks(path, with_(asked_test, "adapter", scale=1.0), looked) == {"heldout": 2}


@pytest.mark.parametrize(
    ("command", "change", "said"),
    [
        (["seeds", "--n", "1"], {}, "N=1: must be a whole number from 2 to 100"),
        (["seeds", "--n", "five"], {}, "N=five: must be a whole number from 2 to 100"),
        (["control"], {"swap_completions: false": "swap_completions: true"}, "dataset.swap_completions: true"),
        (["verdict"], {"split: validation": "split: test"}, "evaluation.split: 'test'"),
        (["verdict"], {"samples: 1": "samples: 0"}, "generation.samples"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(workplace, capsys, monkeypatch, command, change, said):
    monkeypatch.setattr(runs.dvc, "run", lambda *arguments: pytest.fail("nothing is run"))
    text = (workplace / "params.yaml").read_text()
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    (workplace / "params.yaml").write_text(text)
    assert experiments.main(command) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{command[0]}: ")
    assert said in lines[0]


def study_of(clone, *command):
    return run(clone, sys.executable, "-m", "stages.experiments", *command)


def ran(done):
    return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage ")]


def killed_while_it_answers(clone, *command):
    """Start a command and kill all of it, by force, once its copy is there and answers."""
    environment = {key: value for key, value in os.environ.items() if key not in NOT_PASSED_ON}
    environment |= {"PATH": f"{BIN}:{os.environ['PATH']}", "WANDB_MODE": "disabled"}
    started = [sys.executable, "-m", "stages.experiments", *command]
    with (clone.parent / "killed.log").open("w+") as log:
        process = subprocess.Popen(started, cwd=clone, env=environment, stdout=log, stderr=log)
        while (
            process.poll() is None and "Running stage 'baseline_infer'" not in (clone.parent / "killed.log").read_text()
        ):
            time.sleep(0.05)
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        for child in children:  # DVC, in a session of its own with its stage
            with suppress(ProcessLookupError):
                os.killpg(int(child), signal.SIGKILL)
        process.kill()
        assert process.wait() == -signal.SIGKILL


@pytest.mark.long
def test_seeds_control_and_verdict_leave_the_workspace_alone(clones, tmp_path):
    """Every study once, on a dirty workspace; the verdict is killed in its middle, and goes on."""
    clone = tmp_path / "clone"
    shutil.copytree(clones.first, clone, symlinks=True)
    (clone / "README.md").open("a").write("edited")
    (clone / "more.txt").write_text("staged")
    run(clone, "git", "add", "more.txt")
    before = {name: (clone / name).read_bytes() for name in ("params.yaml", "dvc.lock", "metrics/scores.json")}

    done = study_of(clone, "seeds", "--n", "2")
    assert ran(done) == ["finetune_lora", "post_infer", "compare", "compare"]
    seeds = json.loads((clone / studies.STUDIES).read_text())["seeds"]
    assert seeds["seeds"] == [42, 43]
    assert seeds["sets"]["heldout"]["recipe"]["seeds"] == 2
    assert ran(study_of(clone, "seeds", "--n", "2")) == []

    assert "baseline_infer" not in ran(study_of(clone, "control"))
    control = json.loads((clone / studies.STUDIES).read_text())["control"]
    assert control["sets"]["heldout"]["n"] == 8
    assert control["key"] == seeds["key"]

    known = (clone / studies.LEDGER).read_text().splitlines()
    committed = (clone / study.VERDICT / "report.md").read_text()
    killed_while_it_answers(clone, "verdict")
    counted = (clone / studies.LEDGER).read_text()
    assert len(counted.splitlines()) == len(known) + 1
    assert (clone / study.VERDICT / "report.md").read_text() == committed
    assert ran(study_of(clone, "verdict")) == ["compare", "baseline_infer", "post_infer", "compare"]
    assert (clone / studies.LEDGER).read_text() == counted
    assert sorted(path.name for path in (clone / study.VERDICT).iterdir()) == sorted(study.SHOWN)
    asked = {row["record"]["id"] for row in study.graded((clone / study.VERDICT / "answers.csv").read_text())}
    assert not asked & {row["record"]["id"] for row in study.graded((clone / study.ANSWERS).read_text())}

    assert "up to date" in run(clone, "dvc", "repro").stdout
    changed = run(clone, "git", "status", "--porcelain").stdout.splitlines()
    apart = [line for line in changed if "metrics/" not in line and "dvc.lock" not in line]
    assert apart == [" M README.md", "A  more.txt"]
    assert all((clone / name).read_bytes() == was for name, was in before.items() if name != "dvc.lock")
    assert not run(clone, "git", "stash", "list").stdout
