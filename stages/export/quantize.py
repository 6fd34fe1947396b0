"""Which type each tensor of a GGUF file has, by llama.cpp's own rules, and its bytes by llama.cpp's own kernels."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stages.export import export_errors, llama_library

ROWS = 256  # that a thread quantizes at a time


def kind(name: str, shape: tuple[int, ...], quantization: str, layers: int, tied: bool) -> Any:
    """The type of a tensor under `f32`, `f16`, `q8_0` or `q4_k_m`: norms and biases stay in float32.

    The mix of q4_k_m is llama.cpp's for Llama and Qwen2 (llama_tensor_get_type): 6 bits for the head, and in half of
    the layers for values and for what leaves the MLP.
    """
    from gguf import GGML_QUANT_SIZES
    from gguf import GGMLQuantizationType as Kind

    if len(shape) < 2 or quantization == "f32":
        return Kind.F32
    if quantization == "f16":
        return Kind.F16
    head = name == ("token_embd.weight" if tied else "output.weight")
    best = Kind.Q8_0
    if quantization == "q4_k_m":
        layer = int(name.split(".")[1]) if name.startswith("blk.") else 0
        more = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
        six = head or (more and name.endswith(("attn_v.weight", "ffn_down.weight")))
        best = Kind.Q6_K if six else Kind.Q4_K
    if shape[-1] % GGML_QUANT_SIZES[best][0]:  # blocks of 256 do not fit into its rows
        best = {Kind.Q4_K: Kind.Q5_0}.get(best, Kind.Q8_0)
    return Kind.F16 if shape[-1] % GGML_QUANT_SIZES[best][0] else best


def file_type(quantization: str) -> int:
    """What a GGUF file says of itself."""
    from gguf import LlamaFileType

    names = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0", "q4_k_m": "MOSTLY_Q4_K_M"}
    return LlamaFileType[names[quantization]]


def converted(name: str, weight: Any, kind: Any) -> Any:
    """A tensor of float32 as the bytes of its type. Raises UserError where it does not fit into float16."""
    import numpy as np
    from gguf import quant_shape_to_byte_shape

    weight = np.ascontiguousarray(weight)
    if kind.name in ("F32", "F16"):
        with np.errstate(over="ignore"):
            weight = weight.astype(np.dtype({"F32": "float32", "F16": "float16"}[kind.name]))
        if not np.isfinite(weight).all():
            raise export_errors.TOO_LARGE(name=name)
        return weight.view(np.uint8)
    lib, width = llama_library.library(), weight.shape[-1]
    found = np.empty(quant_shape_to_byte_shape(weight.shape, kind), np.uint8)

    def chunk(start: int) -> None:
        rows = min(ROWS, len(weight) - start)
        source, target = weight.ctypes.data, found.ctypes.data
        lib.ggml_quantize_chunk(kind.value, source, target, start * width, rows, width, None)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each row is quantized on its own
        list(pool.map(chunk, range(0, len(weight), ROWS)))
    return found
