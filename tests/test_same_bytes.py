"""Two fresh clones give the same bytes, whatever surrounds them; and no secret of the surroundings gets into any."""

import base64
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests import verify
from tests.clones import OUTPUTS, commit, outputs, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def verified(clones, tmp_path_factory):
    """`make verify` in the first clone: it reproduces a second one, in unlike surroundings."""
    folder = tmp_path_factory.mktemp("verify") / "a deeper folder" / "with ünusual name" / "second"
    command = sys.executable, "-m", "tests.verify", str(folder)
    return SimpleNamespace(folder=folder, done=run(clones.first, *command, check=False, **clones.secrets))


def test_two_clones_are_equal_byte_for_byte(clones, verified):
    assert verified.done.returncode == 0, verified.done.stdout + verified.done.stderr
    assert "verify: the same bytes as commit" in verified.done.stdout
    one, two = outputs(clones.first), outputs(verified.folder)
    assert one == two
    written = {"data/raw", "data/prompts", "data/answers", "models/adapter", "metrics"}
    assert written <= {path.rpartition("/")[0] for path in one}
    assert "metrics/report.html" in one
    assert len(one) >= 20


def test_a_dirty_clone_runs_and_keeps_what_was_changed(clones):
    """The first clone had a changed params.yaml, a staged file and an unknown one when it was reproduced."""
    assert clones.dirty == [" M params.yaml", "?? unknown.txt", "A  staged.txt"]
    assert (clones.first / "staged.txt").read_text() == "staged"
    assert (clones.first / "unknown.txt").read_text() == "unknown"


def test_a_secret_is_in_no_file_and_no_log(clones, verified):
    """Not in the clone with what Git, DVC and W&B keep in it, nor in what they leave at home and in TMPDIR."""
    wanted = [
        form
        for secret in clones.secrets.values()
        for form in (secret.encode(), secret.encode("utf-16-le"), base64.b64encode(secret.encode()).rstrip(b"=")[:-1])
    ]
    searched = set()
    for folder in (clones.first, verified.folder, clones.home):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                assert not any(form in content for form in wanted), path
                searched |= set(path.relative_to(folder).parts[:-1])
    assert {*OUTPUTS, ".git", ".dvc", ".cache", "wandb"} <= searched
    assert any(clones.first.glob("wandb/offline-run-*/*.wandb"))
    for clone in (clones.first, verified.folder):
        objects = ["git", "cat-file", "--batch", "--batch-all-objects"]
        content = subprocess.run(objects, cwd=clone, capture_output=True, check=True).stdout
        assert len(content) > 1_000_000
        assert not any(form in content for form in wanted)
    for done in (clones.done, verified.done):
        assert not any(secret in done.stdout + done.stderr for secret in clones.secrets.values())


LOCK = """\
schema: '2.0'
stages:
  one:
    cmd: python -m stages.one
    deps:
    - {path: stages/one.py, hash: md5, md5: aa}
    params:
      params.yaml:
        lora: {r: 16}
    outs:
    - {path: data/one, hash: md5, md5: bb.dir}
"""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("bb.dir", "cc.dir", "one: data/one: bb.dir in the commit, cc.dir here"),
        ("md5: aa", "md5: cc", "one: stages/one.py: aa in the commit, cc here"),
        ("r: 16", "r: 8", "one: params.yaml: lora: {'r': 16} in the commit, {'r': 8} here"),
        ("  one:", "  two:", "one: the command: python -m stages.one in the commit, nothing here"),
        ("'2.0'", '"2.0"', "dvc.lock: the same records in another text"),
    ],
)
def test_what_differs_is_named(old, new, line):
    assert old in LOCK
    assert next(verify.differences(LOCK, LOCK.replace(old, new))) == line
    assert list(verify.differences(LOCK, LOCK)) == []


REPORT = "**Training**: 9 steps, last loss 0.1 nats a token; {}, kernels AVX2.\n"


@pytest.mark.parametrize(("new", "processor", "code", "line"), [
    (LOCK, "A", 0, "the same bytes as commit"),
    (LOCK, "B", 0, "the same bytes as commit"),
    (LOCK.replace("bb.dir", "cc.dir"), "A", 1, "verify: 1 differences from commit"),
    (LOCK.replace("bb.dir", "cc.dir"), "B", 2, "verify: another processor: A, kernels AVX2 in the commit, B, kernels"),
    (None, "A", 1, "verify: `dvc repro` failed with exit code 7"),
])  # fmt: skip
def test_a_difference_is_an_exit_code(new, processor, code, line, tmp_path, monkeypatch, capfd):
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/report.md").write_text(REPORT.format("A"))
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "-q")
    commit(tmp_path, "1")

    def reproduce(folder, models):
        (folder / "metrics").mkdir(parents=True)
        if new is None:
            return 7
        (folder / "dvc.lock").write_text(new)
        (folder / "metrics/report.md").write_text(REPORT.format(processor))
        return 0

    monkeypatch.setattr(verify, "reproduce", reproduce)
    assert verify.main([]) == code
    out, err = capfd.readouterr()
    assert line in out + err
