"""Whether a fresh clone of HEAD, reproduced from nothing, gives the bytes that the committed dvc.lock records.

usage: python -m tests.verify [FOLDER]          (make verify; in FOLDER, which is kept, or in one that is not)

Every stage runs, with another PYTHONHASHSEED and an empty cache of models. Exits with 1 and a line for each difference,
with 2 where another processor computed the committed run: bytes may differ then, and nothing is shown.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

LOCK, REPORT = "dvc.lock", "metrics/report.md"


def recorded(lock: str) -> dict[tuple[str, str], Any]:
    """What a lock says of every stage: its command, the hash of each file, each value of its params."""
    found: dict[tuple[str, str], Any] = {}
    for name, stage in (YAML(typ="safe", pure=True).load(lock) or {}).get("stages", {}).items():
        found[name, "the command"] = stage["cmd"]
        for entry in [*stage.get("deps", []), *stage.get("outs", [])]:
            found[name, entry["path"]] = entry["md5"]
        for section, value in stage.get("params", {}).get("params.yaml", {}).items():
            found[name, f"params.yaml: {section}"] = value
    return found


def differences(committed: str, new: str) -> Iterator[str]:
    """A line for each stage and file that two locks record otherwise; one for the text where none does."""
    before, after = recorded(committed), recorded(new)
    count = 0
    for key in [*before, *(key for key in after if key not in before)]:
        old, now = before.get(key, "nothing"), after.get(key, "nothing")
        if old != now:
            count += 1
            yield f"{key[0]}: {key[1]}: {old} in the commit, {now} here"
    if committed != new and not count:
        yield f"{LOCK}: the same records in another text"


def processor(report: str) -> str:
    """The processor and kernels that a report names; empty where it names none."""
    named = re.search(r"^\*\*Training\*\*: .* nats a token; (.*)\.$", report, re.MULTILINE)
    return named[1] if named else ""


def reproduce(folder: Path, models: Path) -> int:
    """Clone HEAD into `folder` and run every stage there; returns the exit code of `dvc repro`."""
    subprocess.run(["git", "clone", "-q", "--no-local", ".", str(folder)], check=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    fresh = {"PATH": path, "PYTHONHASHSEED": str(os.getpid()), "AI_MEDICAL_CHATBOT_CACHE": str(models)}
    environment = {"WANDB_MODE": "disabled", **os.environ, **fresh}
    environment.pop("DVC_ROOT", None)
    return subprocess.run(["dvc", "repro", "--force"], cwd=folder, env=environment, check=False).returncode


def main(arguments: list[str]) -> int:
    """Verify; returns the exit status."""
    with contextlib.ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="verify-")))
        folder = Path(arguments[0]) if arguments else temporary / "clone"
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        if code := reproduce(folder, temporary / "models"):
            print(f"verify: `dvc repro` failed with exit code {code}", file=sys.stderr)
            return 1
        committed, report = (
            subprocess.run(["git", "show", f"HEAD:{name}"], capture_output=True, check=True).stdout.decode()
            for name in (LOCK, REPORT)
        )
        new = (folder / LOCK).read_text(encoding="utf-8")
        found = list(differences(committed, new))
        before, here = processor(report), processor((folder / REPORT).read_text(encoding="utf-8"))
        if found and before != here:
            print(f"verify: another processor: {before} in the commit, {here} here")
            print(f"verify: {len(found)} records of {LOCK} differ, as they may on another processor")
            return 2
        for line in found:
            print(f"verify: {line}")
        if found:
            print(f"verify: {len(found)} differences from commit {commit.stdout.strip()}")
            return 1
        print(f"verify: the same bytes as commit {commit.stdout.strip()}: {len(recorded(new))} records of {LOCK}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
