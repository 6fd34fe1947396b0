"""The logits of a GGUF file by llama.cpp itself, through its C functions."""

import ctypes

import numpy as np


class ContextParams(ctypes.Structure):
    """llama_context_params of the pinned version, as far as it is read here."""

    _fields_ = (("positions", ctypes.c_uint32), ("batch", ctypes.c_uint32), ("room", ctypes.c_char * 504))


class Batch(ctypes.Structure):
    """llama_batch."""

    _fields_ = (
        ("size", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embedding", ctypes.c_void_p),
        ("position", ctypes.POINTER(ctypes.c_int32)),
        ("sequences", ctypes.POINTER(ctypes.c_int32)),
        ("sequence", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("wanted", ctypes.POINTER(ctypes.c_int8)),
    )


def of(model, ids):
    """The logits after each of the tokens, as an array of a row a token; `model` is a llama_library.Model."""
    lib, pointer, number = model._lib, ctypes.c_void_p, ctypes.c_int32
    for name, result, arguments in (
        ("llama_vocab_n_tokens", number, [pointer]),
        ("llama_context_default_params", ContextParams, []),
        ("llama_init_from_model", pointer, [pointer, ContextParams]),
        ("llama_free", None, [pointer]),
        ("llama_batch_init", Batch, [number, number, number]),
        ("llama_batch_free", None, [Batch]),
        ("llama_decode", number, [pointer, Batch]),
        ("llama_get_logits", ctypes.POINTER(ctypes.c_float), [pointer]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    params = lib.llama_context_default_params()
    params.positions = params.batch = len(ids)
    context = lib.llama_init_from_model(model._model, params)
    batch = lib.llama_batch_init(len(ids), 0, 1)
    try:
        batch.size = len(ids)
        for index, token in enumerate(ids):
            batch.token[index], batch.position[index], batch.wanted[index] = token, index, 1
            batch.sequences[index], batch.sequence[index][0] = 1, 0
        assert lib.llama_decode(context, batch) == 0
        size = lib.llama_vocab_n_tokens(model._vocabulary)
        return np.ctypeslib.as_array(lib.llama_get_logits(context), (len(ids), size)).copy()
    finally:
        lib.llama_batch_free(batch)
        lib.llama_free(context)
