"""A GGUF file of a merged model, for llama.cpp and Ollama: of the families Llama and Qwen2.

llama.cpp's own converter is in no package that is kept well; the two families need little of it. What is written here
is held against transformers by its tokens and its logits (tests/test_export.py).
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from stages.export import export_errors, gguf_vocabulary, quantize

FAMILIES = ("llama", "qwen2")


def check(config: Any) -> None:
    """Raise UserError for a family, an activation, a rope or an attention that is not supported."""
    rope, other = config.rope_parameters.get("rope_type", "default"), None
    if config.model_type not in FAMILIES:
        other = f"the family {config.model_type}"
    elif config.hidden_act != "silu":
        other = f"the activation {config.hidden_act}"
    elif rope not in ("default", "llama3"):
        other = f"rope of the type {rope}"
    elif set(getattr(config, "layer_types", None) or ["full_attention"]) != {"full_attention"}:
        other = "attention in a window"
    if other:
        raise export_errors.UNSUPPORTED(what=other, families=" and ".join(FAMILIES))


def write(merged: Path, path: Path, quantization: str = "f16") -> None:
    """Write the model of a Hugging Face folder as `f32`, `f16`, `q8_0` or `q4_k_m`, a tensor at a time.

    Raises UserError where the family is not supported, a weight is too large for float16, or llama.cpp would read
    texts otherwise than the tokenizer.
    """
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    config = AutoConfig.from_pretrained(merged)
    check(config)
    tokenizer = AutoTokenizer.from_pretrained(merged)
    stops = GenerationConfig.from_pretrained(merged).eos_token_id
    path.parent.mkdir(parents=True, exist_ok=True)
    trial = path.with_suffix(".vocabulary")
    try:
        _write(trial, config, {}, quantization, (tokenizer, stops, gguf_vocabulary.PRE_TOKENIZERS[0]))
        pre = gguf_vocabulary.pre_tokenizer(trial, tokenizer, stops)
    finally:
        trial.unlink(missing_ok=True)
    _write(path, config, dict(_tensors(merged, config)), quantization, (tokenizer, stops, pre))


def _write(path: Path, config: Any, tensors: dict[str, Any], quantization: str, vocabulary: tuple[Any, ...]) -> None:
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, config.model_type)
    kinds = {}
    try:
        _hyperparameters(writer, config)
        writer.add_file_type(quantize.file_type(quantization))
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        gguf_vocabulary.add(writer, config.vocab_size, *vocabulary)
        for name, (shape, _) in tensors.items():
            tied = "output.weight" not in tensors
            kinds[name] = kind = quantize.kind(name, shape, quantization, config.num_hidden_layers, tied)
            raw = gguf.quant_shape_to_byte_shape(shape, kind)
            writer.add_tensor_info(name, raw, np.dtype(np.uint8), math.prod(raw), kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, (_, read) in tensors.items():
            writer.write_tensor_data(quantize.converted(name, read(), kinds[name]))
    finally:
        writer.close()


def _hyperparameters(writer: Any, config: Any) -> None:
    writer.add_name("medical chatbot")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    size = _head_size(config)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _head_size(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _tensors(merged: Path, config: Any) -> Iterator[tuple[str, tuple[tuple[int, ...], Callable[[], Any]]]]:
    """The name of each tensor in a GGUF file, with its shape and how it is read."""
    import gguf
    from safetensors import safe_open

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[config.model_type.upper()], config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    turned = heads if config.model_type == "llama" else {}
    for file in sorted(merged.glob("*.safetensors")):
        opened = safe_open(file, framework="pt")
        for key in sorted(opened.keys()):
            if (name := names.get_name(key, try_suffixes=(".weight", ".bias"))) is None:
                raise export_errors.UNSUPPORTED(what=f"the tensor {key}", families=" and ".join(FAMILIES))
            count = next((count for part, count in turned.items() if f".{part}." in key), None)
            yield name, (tuple(opened.get_slice(key).get_shape()), partial(_read, opened, key, count))
    if config.rope_parameters.get("rope_type") == "llama3":
        factors = _rope_factors(config)
        yield "rope_freqs.weight", (factors.shape, lambda: factors)


def _read(opened: Any, key: str, heads: int | None) -> Any:
    """A tensor in float32, its rows in the order of llama.cpp."""
    weight = opened.get_tensor(key).float().numpy()
    if heads:  # llama.cpp turns neighbours by one angle, transformers the two halves of a head
        halves = weight.reshape(heads, 2, -1, *weight.shape[1:])
        weight = halves.swapaxes(1, 2).reshape(weight.shape)
    return weight


def _rope_factors(config: Any) -> Any:
    """By what each frequency of the rope is divided, as transformers scales it for long texts."""
    import numpy as np
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    size, theta = _head_size(config), config.rope_parameters["rope_theta"]
    plain = 1.0 / theta ** (np.arange(0, size, 2, dtype=np.float32) / size)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    return (plain / scaled.numpy()).astype(np.float32)
