"""Half a dvc.lock is known from a whole one."""

import random
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.runtime import lockfile, unlock
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


@pytest.fixture
def copied(whole):
    """The copy of that lock."""
    lockfile.COPY.parent.mkdir()
    lockfile.keep()
    return whole


@pytest.mark.parametrize("new", ["compare", "finetune_lora", None])
def test_every_beginning_that_lacks_an_output_is_known(copied, new):
    """The lock that DVC was writing has a stage more than the copy, or another record of one, or neither."""
    whole = copied
    if new == "compare":
        lockfile.COPY.write_bytes(whole[: whole.index(b"  compare:")])
    elif new:
        at = whole.index(b"md5: ", whole.index(b"  finetune_lora:")) + 5
        whole = whole[:at] + b"0" * 32 + whole[at + 32 :]
    kept = lockfile.COPY.read_bytes()
    chance = random.Random(new)
    cuts = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n") and at > whole.index(b"    outs:", -1500)]
    cuts += [whole.rindex(b"md5: ") + digits for digits in (4, 5, 9, 36, 37)]
    cuts += [chance.randrange(len(kept)) for _ in range(60)]
    known = [end for end in cuts if lockfile.cut(whole[:end])]
    for end in set(cuts) - set(known):
        assert outputs(whole[:end]).items() >= (outputs(kept).items() if new == "compare" else outputs(whole).items())
    assert len(known) > len(cuts) - 10
    assert lockfile.cut(b"")
    assert not lockfile.cut(whole)
    assert not lockfile.cut(whole.rstrip())  # as an editor may leave it


def commit_all():
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t"]):
        subprocess.run(["git", *command], check=True)


def test_what_is_committed_or_being_merged_is_not_half(copied):
    older = copied[: copied.index(b"  post_infer:") - 1]
    lockfile.LOCK.unlink()
    commit_all()
    lockfile.LOCK.write_bytes(older)
    assert lockfile.cut(older)  # no commit has it
    commit_all()
    assert not lockfile.cut(older)
    assert not lockfile.cut(b"schema: '2.0'\n<<<<<<< HEAD\nstages:\n=======\n>>>>>>> other\n")


def test_a_lock_from_elsewhere_is_not_half(copied):
    """A branch, a stash, an experiment: nothing that DVC was writing over the copy."""
    older = copied[: copied.index(b"  post_infer:")]
    for name in (b"  fetch_dataset:", b"  format_prompts:"):
        at = older.index(b"md5: ", older.index(name)) + 5
        older = older[:at] + b"0" * 32 + older[at + 32 :]
    assert not lockfile.cut(older)


def test_another_pipeline_is_not_half_a_lock(copied):
    pipeline = YAML()
    stages = pipeline.load(lockfile.PIPELINE)
    del stages["stages"]["compare"]["outs"][0]
    pipeline.dump(stages, lockfile.PIPELINE)
    first = copied.index(b"    - path:", copied.index(b"    outs:", copied.index(b"  compare:")))
    second = copied.index(b"    - path:", first + 1)
    assert not lockfile.cut(copied[:first] + copied[second:])
    without = copied[: copied.index(b"  compare:")]
    assert not lockfile.cut(without)  # removed and added again
    del stages["stages"]["compare"]
    pipeline.dump(stages, lockfile.PIPELINE)
    assert not lockfile.cut(without)
    assert not lockfile.cut(without.rstrip())
    stages["stages"]["post_infer"]["outs"] = 5  # for DVC to explain
    pipeline.dump(stages, lockfile.PIPELINE)
    assert not lockfile.cut(without)


def test_without_a_copy_what_dvc_takes_is_left_to_it(whole):
    assert not lockfile.cut(whole[: whole.index(b"  compare:")])
    assert not unlock.refused(whole[: whole.index(b"  compare:")])
    assert lockfile.cut(whole[:30])
    half = whole[: whole.index(b" md5", 900)]
    assert not lockfile.cut(half)
    assert unlock.refused(half)
    assert not unlock.refused(whole)


def test_a_lock_that_is_being_written_is_left_alone(copied, monkeypatch):
    whole = copied
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
