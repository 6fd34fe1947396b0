"""Parts of a benchmark, each in a process of its own, and their results as a table and as JSON."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULT = "RESULT "
RESULTS = Path("docs/benchmarks")
INSTRUCTION_SETS = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
MAKERS = {"nvidia", "amd", "intel", "apple", "geforce", "tesla"}


def part(module: str, *arguments: str) -> dict[str, Any]:
    """What a part of a benchmark module prints as its result; its other output is shown where it fails."""
    command = [sys.executable, "-m", module, *arguments]
    print("...", *arguments, file=sys.stderr, flush=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if done.returncode or not found:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(found[-1].removeprefix(RESULT))


def show(lines: list[dict[str, Any]]) -> None:
    """Print results as a Markdown table."""
    columns = list(lines[0])
    print("| " + " | ".join(columns) + " |")
    print("| " + " | ".join("---" for _ in columns) + " |")
    for line in lines:
        cells = (f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in line.values())
        print("| " + " | ".join(cells) + " |")


def write(results: dict[str, Any]) -> Path:
    """Write results with their date, machine and versions to a file that is named for the card and the date.

    Returns the file. A second run on one day replaces the first.
    """
    machine = machine_of()
    made = {
        "date": datetime.now(UTC).date().isoformat(),
        **machine,
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft")},
    }
    path = RESULTS / f"{card(machine['machine'])}-{made['date']}.json"
    path.write_text(json.dumps({**made, **results}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path


def machine_of() -> dict[str, Any]:
    """The GPU's name; without one the processor's, with the instruction sets that decide its speed and its bytes."""
    import torch

    if torch.cuda.is_available():
        return {"machine": torch.cuda.get_device_name()}
    found = torch.cpu.get_capabilities()
    return {"machine": found["cpu_name"], "instruction_sets": [name for name in INSTRUCTION_SETS if found.get(name)]}


def card(machine: str) -> str:
    """The short name of a machine: its words without the maker's, up to the first with a digit."""
    words = [word for word in re.findall(r"[a-z0-9]+", machine.lower()) if word not in MAKERS]
    last = next((place for place, word in enumerate(words) if re.search(r"\d", word)), len(words))
    return "-".join(words[: last + 1])
