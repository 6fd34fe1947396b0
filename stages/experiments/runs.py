"""Runs of the pipeline by DVC: of the workspace, and of experiments in copies that leave the workspace alone."""

import subprocess
from pathlib import Path

from stages import params
from stages.files.errors import UserError
from stages.params.schema import Params
from stages.runtime import dvc

INPUT = "data/input"
CAUSES = ("stages/", INPUT, "metrics/ledger.jsonl")


def repro() -> None:
    """Bring the workspace up to date. Raises UserError where a stage fails."""
    dvc.run("repro")


def experiment(name: str, changed: Params, change: str) -> str:
    """Run the pipeline with one param changed, in a temporary copy; returns the experiment's commit.

    `change` is `key=value`, `changed` all params with it. One that ran with this code, these params and these rows is
    not run again. Whatever stage an experiment shares with an earlier run comes from DVC's run cache. Raises UserError
    where it fails.
    """
    known = _refs(name)
    for commit in known.values():
        if _is_current(commit, changed):
            print(f"{name}: has run before", flush=True)
            return commit
    for ref in known:
        git("update-ref", "-d", ref)
    # Rows that Git does not track: a whole folder of them as one path.
    rows = git("ls-files", "-z", "--others", "--directory", "--", INPUT).split("\0")
    copied = [part for path in rows if path for part in ("-C", path.rstrip("/"))]
    print(f"{name}: {change}, in a copy", flush=True)
    dvc.run("exp", "run", "--temp", "--name", name, *copied, "-S", change)
    return next(iter(_refs(name).values()))


def git(*arguments: str) -> str:
    """What a Git command prints. Raises UserError where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True)
    if done.returncode:
        raise UserError(f"git {' '.join(arguments)}: {' '.join(done.stderr.decode().split())}")
    return done.stdout.decode()


def show(commit: str, path: str) -> str:
    """The text of a file in an experiment's commit."""
    return git("show", f"{commit}:{path}")


def _refs(name: str) -> dict[str, str]:
    """The experiments of this name, whatever commit they started from: their commits by ref."""
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", f"refs/exps/*/*/{name}").splitlines()
    return dict(line.split() for line in lines)


def _is_current(commit: str, changed: Params) -> bool:
    """Whether an experiment had these params, and the code and the rows that the workspace has."""
    if _causes(show(commit, "dvc.lock")) != _causes(Path("dvc.lock").read_text(encoding="utf-8")):
        return False
    return params.parse(show(commit, "params.yaml"), "params.yaml") == changed.model_dump(mode="json")


def _causes(lock: str) -> dict[tuple[str, str], str]:
    """What the stages of a dvc.lock depended on and no stage made: by stage and path, a hash."""
    stages = params.parse(lock, "dvc.lock")["stages"].items()
    found = ((name, dep) for name, stage in stages for dep in stage["deps"] if dep["path"].startswith(CAUSES))
    return {(name, dep["path"]): dep["md5"] for name, dep in found}
