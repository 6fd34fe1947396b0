"""What a stage cost: seconds, peak memory, tokens a second.

No DVC output, where a timing would change every lock: see `dvc metrics show metrics/costs/*.json`.
"""

import resource
import sys
import time
from pathlib import Path

from stages.files import records

COSTS = Path("metrics/costs")
_work: dict[str, float] = {}


def work(tokens: int, seconds: float) -> None:
    """Note the main work of the stage: the tokens it read, learned or wrote, and the seconds."""
    _work["tokens_per_second"] = round(tokens / max(seconds, 1e-9), 1)


def write(name: str, start: float) -> str:
    """Write metrics/costs/NAME.json since `start` of time.perf_counter(); returns it in words."""
    seconds = time.perf_counter() - start
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    costs = {"seconds": round(seconds, 2), "memory_gb": round(megabytes / 1024, 2), **_work}
    text = f"{seconds:.0f} s, {megabytes / 1024:.1f} GB"
    torch = sys.modules.get("torch")  # not imported for this
    if torch is not None and torch.cuda.is_available():
        costs["gpu_memory_gb"] = round(torch.cuda.max_memory_reserved() / 2**30, 2)
        text += f", {costs['gpu_memory_gb']:.1f} GB of the GPU"
    _work.clear()
    records.write_json(COSTS / f"{name}.json", costs)
    return text
