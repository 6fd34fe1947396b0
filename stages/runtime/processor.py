"""The processor, and what decides which kernels compute on it: two that differ here may round otherwise."""

import os
import platform
from typing import Any


def describe() -> dict[str, Any]:
    """Name, torch's instruction set, whether oneDNN computes bfloat16 with AMX, and the GPUs.

    oneDNN asks the processor itself, so that torch's own name for the instruction set does not tell (ONEDNN_MAX_CPU_ISA
    sets it a limit: https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html).
    """
    import torch

    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # since torch 2.12
    return {
        "name": found.get("cpu_name") or platform.processor() or platform.machine(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "amx": bool(found.get("amx_bf16")),
        "onednn_limit": os.environ.get("ONEDNN_MAX_CPU_ISA"),
        "gpus": [torch.cuda.get_device_name(card) for card in range(torch.cuda.device_count())],
    }
