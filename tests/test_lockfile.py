"""Half a dvc.lock is known from a whole one."""

import random
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.common import lockfile
from tests.conftest import ROOT
from tests.verify import recorded


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """The committed lock, three files a stage, as the lock of a pipeline; dvc.yaml beside it."""
    lock = YAML(typ="safe", pure=True).load(ROOT / "dvc.lock")
    for stage in lock["stages"].values():
        stage["deps"] = stage["deps"][:3]
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(lock, lockfile.LOCK)
    return lockfile.LOCK.read_bytes()


def outputs(content):
    """What a lock records of outputs."""
    return {key: value for key, value in recorded(content.decode()).items() if key[1].startswith(("data", "m"))}


@pytest.mark.parametrize("copied", ["all", "but the last stage", "nothing"])
def test_every_beginning_that_lacks_an_output_is_known(whole, copied):
    last = whole.index(b"  compare:")
    kept = whole[:last] if copied == "but the last stage" else whole
    lockfile.COPY.parent.mkdir()
    if copied != "nothing":
        lockfile.COPY.write_bytes(kept)
    chance = random.Random(copied)
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n") and at > last]
    if copied != "nothing":
        ends += [chance.randrange(last) for _ in range(60)]
    found = []
    for end in ends:
        if lockfile.cut(whole[:end]):
            found.append(end)
        else:
            assert outputs(whole[:end]).items() >= outputs(kept).items()
    assert len(found) > len(ends) - 10
    assert not lockfile.cut(whole)
    assert not lockfile.cut(whole.rstrip())  # as an editor may leave it
    assert lockfile.cut(b"")


def test_what_is_committed_or_being_merged_is_not_half(whole):
    lockfile.COPY.parent.mkdir()
    lockfile.COPY.write_bytes(whole)
    older = whole[: whole.index(b"  post_infer:")]
    assert lockfile.cut(older)
    lockfile.LOCK.write_bytes(older)
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t"]):
        subprocess.run(["git", *command], check=True)
    assert not lockfile.cut(older)
    assert not lockfile.cut(b"schema: '2.0'\n<<<<<<< HEAD\nstages:\n=======\n>>>>>>> other\n")


def test_a_lock_that_is_being_written_is_left_alone(whole, monkeypatch):
    lockfile.COPY.parent.mkdir()
    lockfile.keep()
    lockfile.LOCK.write_bytes(whole[:900])
    assert lockfile.halved(lockfile.LOCK, lockfile.cut)
    monkeypatch.setattr(lockfile.time, "sleep", lambda _: lockfile.LOCK.write_bytes(whole))
    lockfile.LOCK.write_bytes(whole[:900])
    assert not lockfile.halved(lockfile.LOCK, lockfile.cut)


def test_the_copy_follows_the_lock(whole):
    lockfile.keep()
    assert lockfile.COPY.read_bytes() == whole
    assert lockfile.COPY.stat().st_mtime_ns == lockfile.LOCK.stat().st_mtime_ns
    lockfile.LOCK.unlink()
    lockfile.keep()
    assert not lockfile.COPY.exists()
