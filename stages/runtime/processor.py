"""The processor, and what chooses its kernels: two that differ here may round differently."""

import os


def describe() -> dict[str, str]:
    """The name of the CPU or GPU, and the instructions or CUDA version that choose its kernels.

    oneDNN asks the processor itself (avx512_bf16, amx_bf16), up to ONEDNN_MAX_CPU_ISA; torch's own name of the
    instruction set does not say (https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html).
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
