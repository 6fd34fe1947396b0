"""The tiny preset under random kills, round after round: does every round end in the bytes of a run left alone?

usage: python -m tests.soak          (make soak; SOAK_SECONDS, 3600 where it is not set)

In a round every stage runs anew. `dvc repro` and what it started get SIGKILL, SIGTERM or SIGINT at a random moment, one
to six times, and run again at once; the last time they are left alone. Where DVC cannot read what a kill has left of
a file of its own, what its users do follows (`git checkout dvc.lock`, `rm .dvc/tmp/rwlock`), and is counted. Exits with
1 where bytes differ.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, namedtuple
from pathlib import Path

from tests.clones import BIN, OUTPUTS, commit, outputs, run, working_tree

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MADE = ("data/raw", "data/prompts", "data/answers", "models/adapter", ".dvc/cache", ".dvc/tmp", ".cache")
MOST = 6  # kills a round
HALF = {"Unable to read RWLock-file": ".dvc/tmp/rwlock", "'./dvc.lock' validation failed": "dvc.lock"}
Run = namedtuple("Run", "code killed stage")


def reset(clone: Path) -> None:
    """Forget every result."""
    for name in MADE:
        shutil.rmtree(clone / name, ignore_errors=True)
    run(clone, "git", "checkout", "-q", "dvc.lock", "metrics")


def repro(clone: Path, log: Path, kill_after: float | None = None, sent: signal.Signals = signal.SIGKILL) -> Run:
    """Run `dvc repro`, killed or not."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "WANDB_MODE": "disabled"}
    killed = False
    with log.open("w") as file:
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=clone, env=environment, stdout=file, stderr=file, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs are born deaf to it
        )  # fmt: skip
        try:
            code = process.wait(kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, sent)
            code, killed = process.wait(), True
    running = re.findall("^Running stage '(.*)'", log.read_text(), re.MULTILINE)
    return Run(code, killed, running[-1] if running else "dvc itself")


def mended(clone: Path, log: Path) -> str:
    """What DVC said of a file that a kill has cut short, once that is mended; empty where it said no such thing."""
    for said, name in HALF.items():
        if said in log.read_text():
            if name == "dvc.lock":
                run(clone, "git", "checkout", "-q", name)
            else:
                (clone / name).unlink(missing_ok=True)
            return said
    return ""


def soak(seconds: float, clone: Path, log: Path) -> int:
    """Rounds until the time is over; returns how many did not end in the same bytes."""
    run(clone, "python", "-m", "stages.params", "use", "tiny")
    commit(clone, "tiny")  # the lock stays the committed preset's: every stage is out of date
    begin = time.monotonic()
    reset(clone)
    if repro(clone, log).code:
        print(log.read_text())
        return 1
    lasts, whole = time.monotonic() - begin, outputs(clone)
    print(f"soak: a run left alone: {lasts:.0f} s, {len(whole)} files in {', '.join(OUTPUTS)} and dvc.lock", flush=True)
    chance, kills, halves, rounds, failed, compared = random.Random(), Counter(), [], 0, 0, 0
    while time.monotonic() - begin < seconds:
        reset(clone)
        rounds += 1
        for _ in range(chance.randint(1, MOST)):
            sent = chance.choice(SIGNALS)
            ran = repro(clone, log, chance.uniform(0.3, lasts / 2), sent)
            if ran.killed:
                kills[ran.stage, sent.name] += 1
            elif ran.code == 0:  # before the kill: the machine is less busy than it was when the first run was timed
                lasts *= 0.8
                break
            elif said := mended(clone, log):
                halves.append(said)
        code = repro(clone, log).code
        if code and (said := mended(clone, log)):
            halves.append(said)
            code = repro(clone, log).code
        now = outputs(clone)
        differ = sorted(name for name in whole.keys() | now.keys() if whole.get(name) != now.get(name))
        left = [path for path in (clone / ".cache/resume").rglob("*") if path.is_file() and path.suffix != ".lock"]
        compared += len(whole)
        good = code == 0 and not differ and not left
        failed += not good
        state = "same bytes" if good else f"exit {code}, differ: {differ}, left over: {left}\n{log.read_text()[-3000:]}"
        print(f"soak: round {rounds}, {sum(kills.values())} kills so far: {state}", flush=True)
    print(f"\n{'killed in':16}" + "".join(f"{sent.name:>9}" for sent in SIGNALS))
    for where in sorted({where for where, _ in kills}):
        print(f"{where:16}" + "".join(f"{kills[where, sent.name]:9}" for sent in SIGNALS))
    for said, count in Counter(halves).items():
        print(f"\n{count} times, mended as DVC's users do: {said}")
    print(f"\nkills {sum(kills.values())}, rounds {rounds}, rounds of the same bytes {rounds - failed}, ", end="")
    print(f"files compared {compared}, {(time.monotonic() - begin) / 60:.0f} min")
    return failed


def main() -> int:
    """Soak; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        clone = working_tree(Path(folder) / "clone")
        return int(soak(float(os.environ.get("SOAK_SECONDS", 3600)), clone, Path(folder) / "log") > 0)


if __name__ == "__main__":
    sys.exit(main())
