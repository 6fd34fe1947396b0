"""The memory of answering."""

from typing import Any

from stages.model.memory import Parts, weights, widths
from stages.params.schema import Params

PREFILL_TOKENS = 8192  # prompt tokens that a GPU reads at a time, padding included: enough to keep it busy


def estimate(loaded: Any, params: Params, longest: int) -> Parts:
    """Bytes by part of answering prompts of at most `longest` tokens."""
    config = loaded.config.get_text_config()
    size = loaded.dtype.itemsize
    _, keys, mlp = widths(config)
    length = longest + params.generation.max_new_tokens
    read = max(PREFILL_TOKENS, longest) * (3 * mlp + 4 * config.hidden_size) * size
    batch = params.generation.batch_size
    # Logits, and what sampling makes of them: two copies in float32.
    logits = batch * config.vocab_size * (2 * size + 8 * (params.generation.temperature > 0))
    return {
        "weights": weights(loaded),
        "cache": batch * length * 2 * keys * config.num_hidden_layers * size,
        "activations": read + logits,
    }


def smaller(params: Params) -> list[dict[str, Any]]:
    """Smaller ways to answer: smaller batches."""
    batch = params.generation.batch_size
    return [{"generation.batch_size": batch >> n} for n in range(1, batch.bit_length())]
