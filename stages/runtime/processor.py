"""The processor, and what decides which kernels compute on it: two that differ here may round otherwise."""

import os


def describe() -> dict[str, str]:
    """`processor`, a CPU's or GPU's name, and `kernels`, the instructions or the CUDA version that they are chosen by.

    oneDNN asks the processor itself (avx512_bf16, amx_bf16), so that torch's own name for the instruction set does not
    tell; ONEDNN_MAX_CPU_ISA sets it a limit
    (https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html).
    """
    import torch

    if torch.cuda.is_available():
        major, minor = torch.cuda.get_device_capability()
        kernels = f"CUDA {torch.version.cuda}, compute capability {major}.{minor}"
        return {"processor": torch.cuda.get_device_name(), "kernels": kernels}
    found = torch.cpu.get_capabilities()
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    kernels = [torch.backends.cpu.get_cpu_capability()]
    kernels += [name for name in ("avx512_bf16", "amx_bf16") if found.get(name)]
    kernels += [f"oneDNN at most {limit}"] if limit else []
    return {"processor": found["cpu_name"], "kernels": ", ".join(kernels)}
