"""llama.cpp's C functions, out of the library that xllamacpp's wheel carries: tokens and quantization.

The structs are those of the pinned version, as far as they are read here; the rest is room.
"""

import ctypes
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from stages.export import export_errors

ERROR = 4  # ggml_log_level
TEXT_OVERRIDE = 3  # llama_model_kv_override_type
PRE = b"tokenizer.ggml.pre"
_said: list[str] = []  # its errors, which it prints and does not return


class _Override(ctypes.Structure):
    _fields_ = (("tag", ctypes.c_int), ("key", ctypes.c_char * 128), ("_", ctypes.c_int), ("text", ctypes.c_char * 128))


class _ModelParams(ctypes.Structure):
    _fields_ = (
        ("_", ctypes.c_char * 64),
        ("overrides", ctypes.c_void_p),
        ("vocabulary_only", ctypes.c_bool),
        ("room", ctypes.c_char * 183),
    )


@cache
def library() -> Any:
    """The library, silent. Raises UserError where the package is missing or does not load."""
    try:
        from xllamacpp import xllamacpp
    except ImportError as error:
        raise export_errors.NO_LLAMA_CPP(error=error) from None
    lib = ctypes.CDLL(xllamacpp.__file__)
    pointer, number, text = ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p
    for name, result, arguments in (
        ("llama_model_default_params", _ModelParams, []),
        ("llama_model_load_from_file", pointer, [text, _ModelParams]),
        ("llama_model_free", None, [pointer]),
        ("llama_model_get_vocab", pointer, [pointer]),
        ("llama_vocab_is_eog", ctypes.c_bool, [pointer, number]),
        ("llama_tokenize", number, [pointer, text, number, pointer, number, ctypes.c_bool, ctypes.c_bool]),
        ("ggml_quantize_chunk", ctypes.c_size_t, [ctypes.c_int, pointer, pointer, *[ctypes.c_int64] * 3, pointer]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments

    @ctypes.CFUNCTYPE(None, ctypes.c_int, text, pointer)
    def log(level: int, message: bytes, _: Any) -> None:
        if level == ERROR:
            _said.append(message.decode("utf-8", "replace"))

    lib.llama_log_set(log, None)
    lib.log = log  # which it calls for as long as it is loaded
    return lib


class Model:
    """A GGUF file in llama.cpp, or its vocabulary alone, read with another pre-tokenizer where one is named."""

    def __init__(self, path: Path, vocabulary_only: bool = False, pre: str | None = None) -> None:
        """Load it. Raises UserError where llama.cpp refuses the file."""
        self._lib = library()
        params = self._lib.llama_model_default_params()
        params.vocabulary_only = vocabulary_only
        overrides = (_Override * 2)(_Override(TEXT_OVERRIDE, PRE, 0, (pre or "").encode()))  # an empty one ends them
        params.overrides = ctypes.cast(overrides, ctypes.c_void_p) if pre else None
        _said.clear()
        self._model = self._lib.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise export_errors.REFUSED(path=path, error=" ".join("".join(_said).split())[:200])
        self._vocabulary = self._lib.llama_model_get_vocab(self._model)

    def __enter__(self) -> "Model":
        """The model, until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free it."""
        self._lib.llama_model_free(self._model)

    def tokens(self, text: str, special: bool = False) -> list[int]:
        """The token ids of a text, without a BOS token; special tokens in it are text unless `special`."""
        raw = text.encode()
        found = (ctypes.c_int32 * (len(raw) + 8))()
        count = self._lib.llama_tokenize(self._vocabulary, raw, len(raw), found, len(found), False, special)
        return found[:count]

    def ends(self, token: int) -> bool:
        """Whether llama.cpp ends an answer at a token."""
        return self._lib.llama_vocab_is_eog(self._vocabulary, token)
