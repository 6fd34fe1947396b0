"""The 19,700 rows of the hub's dataset in shape: is every part under 2 GB, and says how far it is?

usage: python -m tests.long_run          (make soak; minutes)

Builtin rows with reasoning of the hub's length go through fetch and format as a file of one's own; 20,000 answers, made
up, through the journal of generation and through compare.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from tests.clones import BIN, run, working_tree

ROWS, ANSWERS, LIMIT = 19_700, 20_000, 2048
# The tests' own tokenizer has a token a letter: the length of the embedded model's is about a quarter.
SETTINGS = {
    "source: builtin": "source: files",
    "train_rows: 24": f"train_rows: {ROWS}",
    "eval_rows: 8": f"eval_rows: {ANSWERS}",
    "eval_share: 0.25": "eval_share: 0.02",
    "source: random": "source: package",
    "question: Question": "question: question",
    "reasoning: Complex_CoT": "reasoning: reasoning",
    "response: Response": "response: response",
}
JOURNAL = f"""
from tqdm import tqdm
from stages.runtime import journal
row = {{"token_ids": list(range(300, 812)), "finish_reason": "length"}}
for attempt in range(2):
    with tqdm(total={ANSWERS}, desc="answers", unit="answer", mininterval=1) as progress:
        try:
            with journal.opened("baseline_infer", [1], []) as kept:
                progress.update(len(kept))
                for number in range(len(kept), {ANSWERS}):
                    if number == {ANSWERS} // 2 and not attempt:
                        raise KeyboardInterrupt
                    kept[str(number)] = row
                    progress.update()
                assert len(kept) == {ANSWERS}
        except KeyboardInterrupt:
            continue
"""


def rows(path: Path) -> None:
    """Write builtin rows with reasoning of about 2,200 characters, as the hub's has in the mean."""
    from stages.data.sources import builtin

    chance = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for row in islice(builtin.rows(1), ROWS):
            more = " ".join(row["reasoning"] for _ in range(chance.randint(1, 5)))
            file.write(json.dumps({**row, "reasoning": more}) + "\n")


def answers(clone: Path) -> None:
    """Write held-out rows and made-up answers of both arms."""
    from stages.data.sources import builtin
    from stages.files import records

    held = []
    for number, row in enumerate(islice(builtin.rows(2), ANSWERS)):
        held.append({"id": f"{number:016x}", "set": "heldout", "kind": "number", "split": "validation", **row})
    free = [row for row in records.read(clone / "data/raw/evaluation.jsonl") if row["set"] == "free"]
    records.write(clone / "data/raw/heldout.jsonl", held)
    for arm, every in (("baseline", 3), ("post", 2)):
        made = []
        for number, row in enumerate(held):
            text = f"<think>\n{row['reasoning']}\n</think>\n{row['response'] if number % every else 'Perhaps 99.'}"
            made.append({"id": row["id"], "set": "heldout", "text": text, "tokens": 200})
        made += [{"id": row["id"], "set": "free", "text": "No.", "tokens": 2} for row in free]
        for row in made:
            row.update(sample=0, finish_reason="stop", thinking_cut=False)
        records.write(clone / f"data/answers/{arm}.jsonl", made)


def measured(clone: Path, name: str, *command: str) -> bool:
    """Run a command; print its seconds, peak memory and last word on how far it is. Returns whether it stayed below."""
    begin = time.monotonic()
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(clone)}
    with tempfile.TemporaryFile("w+") as file:
        process = subprocess.Popen(command, cwd=clone, env=environment, stdout=file, stderr=file)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        file.seek(0)
        said = file.read().replace("\r", "\n").splitlines()
    peak = used.ru_maxrss / (1024 if sys.platform == "linux" else 2**20)
    bars = [line for line in said if "row/s]" in line or "answer/s]" in line]
    good = process.returncode == 0 and peak < LIMIT and bool(bars or name == "compare")
    print(
        f"{name:16}{time.monotonic() - begin:6.0f} s{peak:8.0f} MB  {bars[len(bars) // 2] if bars else ''}", flush=True
    )
    if process.returncode:
        print("\n".join(said[-5:]))
    return good


def main() -> int:
    """Check; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="long-", ignore_cleanup_errors=True) as folder:
        clone = working_tree(Path(folder) / "clone")
        run(clone, "python", "-m", "stages.params", "use", "tiny")
        text = (clone / "params.yaml").read_text(encoding="utf-8")
        for old, new in SETTINGS.items():
            assert old in text, old
            text = text.replace(old, new, 1)
        (clone / "params.yaml").write_text(text, encoding="utf-8")
        rows(clone / "data/input/rows.jsonl")
        size = (clone / "data/input/rows.jsonl").stat().st_size
        print(f"{ROWS:,} rows, {size / 2**20:.0f} MB; {ANSWERS:,} answers; at most {LIMIT} MB")
        good = [
            measured(clone, name, sys.executable, "-m", f"stages.{name}")
            for name in ("fetch_dataset", "format_prompts")
        ]
        good.append(measured(clone, "journal", sys.executable, "-c", JOURNAL))
        answers(clone)
        good.append(measured(clone, "compare", sys.executable, "-m", "stages.compare"))
    return int(not all(good))


if __name__ == "__main__":
    sys.exit(main())
