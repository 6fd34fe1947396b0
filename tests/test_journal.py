"""Answers outlive their run, a line each; a damaged line is made again, and no other configuration reads them."""

import os
from pathlib import Path

import pytest
import torch

from stages import baseline_infer, finetune_lora, post_infer
from stages.data.prompts import Formatter
from stages.files import records
from stages.generate import answers, likelihood
from stages.model import adapter
from stages.runtime import identity, journal
from tests.conftest import save_adapter
from tests.test_resume import ROWS

ROW = {"token_ids": [1], "finish_reason": "stop"}


@pytest.fixture
def workspace(tiny, tiny_tokenizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    heldout, evaluation = baseline_infer.PROMPTS
    records.write(heldout, Formatter(tiny_tokenizer, tiny.prompt).examples(ROWS))
    records.write(evaluation, [])
    return tmp_path


def test_finished_answers_and_losses_are_not_made_again(workspace, tiny, monkeypatch):
    baseline_infer.main(tiny)
    expected = baseline_infer.ANSWERS.read_bytes()
    (path,) = journal.HOME.glob("*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    found = [line for line in lines if "token_ids" in line]
    assert len(found) == len(ROWS) < len(lines)
    path.write_text("".join(found[:4]))
    asked, computed = [], []
    generate, batch = answers.generate, likelihood._batch
    monkeypatch.setattr(
        answers, "generate", lambda m, prompts, *s, **o: asked.extend(prompts) or generate(m, prompts, *s, **o)
    )
    monkeypatch.setattr(likelihood, "_batch", lambda n, head, rows: computed.extend(rows) or batch(n, head, rows))
    baseline_infer.main(tiny)
    plain_english = 1
    assert (len(asked), len(computed)) == (len(ROWS) - 4, len(ROWS) + plain_english)
    assert baseline_infer.ANSWERS.read_bytes() == expected


def changed_row(line):
    return line.replace("[", "[7, ", 2).replace("[7, [7, ", "[", 1)


@pytest.mark.parametrize("damage", [
    lambda line: "", lambda line: line[:20], lambda line: line[:-1], lambda line: "\0" * 50 + "\n",
    lambda line: "{}\n", lambda line: "5\n", lambda line: "[" * 9999 + "\n", lambda line: "\udcff\udce2" + line,
    changed_row,
], ids=["gone", "half", "no end", "zeros", "an object", "a number", "deep", "no UTF-8", "another answer"])  # fmt: skip
@pytest.mark.parametrize("last", [False, True], ids=["within", "at the end"])
def test_a_damaged_line_is_made_again_and_no_other(workspace, tiny, capsys, damage, last):
    baseline_infer.main(tiny)
    expected = baseline_infer.ANSWERS.read_bytes()
    (path,) = journal.HOME.glob("*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    whole = set(lines)
    lines[-1 if last else 3] = damage(lines[-1 if last else 3])
    path.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
    capsys.readouterr()
    for _ in range(2):
        baseline_infer.main(tiny)
        assert baseline_infer.ANSWERS.read_bytes() == expected
    assert whole <= set(path.read_text(errors="replace").splitlines(keepends=True))


@pytest.mark.parametrize("what", ["params", "adapter", "code", "library", "processor"])
def test_what_another_configuration_wrote_is_not_read(workspace, tiny, monkeypatch, what):
    save_adapter(tiny, post_infer.ADAPTER)
    values = [tiny.model, tiny.generation, 1.0]

    def found():
        with journal.opened("post_infer", values, [post_infer.ADAPTER]) as kept:
            before = dict(kept)
            kept["a prompt"] = ROW
        return before

    assert found() == {}
    assert found() == {"a prompt": ROW}
    match what:
        case "params":
            values[2] = 0.5
        case "adapter":
            (post_infer.ADAPTER / adapter.CONFIG).write_text("{}")
        case "code":
            monkeypatch.setattr(identity, "code_of", lambda stage: [Path(identity.__file__)])
        case "library":
            monkeypatch.setattr(identity, "version", lambda name: "0")
        case "processor":
            monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "other")
    assert found() == {}
    monkeypatch.undo()


def test_what_changes_no_answer_is_not_in_the_name(workspace):
    """The wording of errors, signals, tracking and the report's page: answers and checkpoints outlive their edits."""
    for stage in ("baseline_infer", "finetune_lora", "post_infer"):
        names = {path.relative_to(identity.ROOT).as_posix() for path in identity.code_of(stage)}
        assert f"stages/{stage}.py" in names
        assert "stages/model/load.py" in names
        assert not any("/report/" in name or "errors" in name for name in names)
        assert {name for name in names if "/runtime/" in name} <= {"stages/runtime/processor.py"}
    assert "stages/train/loss.py" in {
        path.relative_to(identity.ROOT).as_posix() for path in identity.code_of("finetune_lora")
    }
    assert finetune_lora.TRAIN.parent == Path("data/prompts")


def test_the_journals_not_used_for_longest_go_first(workspace, monkeypatch):
    for number in range(4):
        with journal.opened("baseline_infer", [number], []) as kept:
            kept["a"] = ROW
    paths = sorted(journal.HOME.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    for age, path in enumerate(paths):
        os.utime(path, (1000 + age, 1000 + age))
    size = paths[0].stat().st_size
    monkeypatch.setattr(journal, "MOST", 3 * size)
    with journal.opened("baseline_infer", [0], []):
        pass
    left = set(journal.HOME.glob("*.jsonl"))
    used = max(left, key=lambda path: path.stat().st_mtime)
    assert left == {used, *[path for path in paths if path != used][1:]}
