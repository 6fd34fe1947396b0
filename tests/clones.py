"""Fresh clones to reproduce in, and what they hold."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
OUTPUTS = ("data", "models", "metrics")
NOT_PASSED_ON = dict.fromkeys(("DVC_ROOT", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"))  # a clone is nobody's part


def run(clone, *command, check=True, **environment):
    """Run a command in a clone; an environment variable that is None is unset. Raises AssertionError where it fails."""
    given = {"PATH": f"{BIN}:{os.environ['PATH']}", "WANDB_MODE": "disabled", **NOT_PASSED_ON, **environment}
    whole = {name: value for name, value in {**os.environ, **given}.items() if value is not None}
    done = subprocess.run(command, cwd=clone, env=whole, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{command} failed:\n{done.stdout}\n{done.stderr}")
    return done


def commit(clone, message):
    """Commit all that Git does not ignore."""
    run(clone, "git", "add", "-A")
    run(clone, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", message)


def working_tree(clone):
    """The files of the working tree as a fresh repository, committed or not."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, run(ROOT, *listed).stdout.split("\0")):
        source, target = ROOT / name, clone / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    run(clone, "git", "init", "-q")
    commit(clone, "start")
    return clone


def outputs(clone):
    """The SHA-256 of every file that stages write, by path; costs are no output."""
    paths = [path for folder in OUTPUTS for path in (clone / folder).rglob("*") if path.is_file()]
    return {
        path.relative_to(clone).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in [*paths, clone / "dvc.lock"]
        if "costs" not in path.parts
    }
