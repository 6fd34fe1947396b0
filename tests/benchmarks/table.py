"""Parts of a benchmark, each in a process of its own, and their results as a table and as JSON."""

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULT = "RESULT "


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


def write(path: Path, results: dict[str, Any]) -> None:
    """Write results with the date, the machine and the versions that they hold for."""
    import torch

    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    made = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft")},
    }
    path.write_text(json.dumps({**made, **results}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
