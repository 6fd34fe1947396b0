"""Plain English as a tokenizer and a model read it: what no language model shows is refused before it costs time."""

from typing import Any

from stages.model import model_errors

TEXT = (
    "The heart is a muscle about the size of a fist. It beats some seventy times a minute, and with every beat it "
    "sends blood through the arteries to all parts of the body. The blood carries oxygen from the lungs and sugar from "
    "the food that we eat. When a person runs or climbs the stairs, the muscles need more of both, so the heart beats "
    "faster and the breath comes more often. After a few minutes of rest, both are as slow as they were before."
)
# Vocabularies of bytes or letters, and those of tests, are below; they are measured and not judged.
SMALLEST_VOCABULARY = 1000
# Measured: SmolLM2-135M 1.11 tokens and 0.88 bits, Qwen2.5-Coder-0.5B 1.10 and 0.87, Gemma 3 270M 1.10 and 0.81.
MOST_TOKENS_PER_WORD = 3.0  # 5 where words are split into letters
MOST_BITS_PER_BYTE = 2.5  # more than a model needs that knows no more than how often words occur; random weights: 3.4


def tokens_per_word(tokenizer: Any) -> float:
    """Tokens a word of plain English. Raises UserError for a tokenizer that splits, loses or does not know words."""
    ids = tokenizer(TEXT, add_special_tokens=False).input_ids
    found = round(len(ids) / len(TEXT.split()), 2)
    if judged(tokenizer) and (found > MOST_TOKENS_PER_WORD or tokenizer.unk_token_id in ids):
        raise model_errors.TOKENIZER_BROKEN(found=found, most=MOST_TOKENS_PER_WORD, tokens=_shown(tokenizer, ids))
    if tokenizer.decode(ids).casefold().split() != TEXT.casefold().split():
        raise model_errors.TOKENIZER_LOSSY(text=tokenizer.decode(ids)[:60])
    return found


def judged(tokenizer: Any) -> bool:
    """Whether a tokenizer's vocabulary is large enough for that of a language model."""
    return len(tokenizer) >= SMALLEST_VOCABULARY


def _shown(tokenizer: Any, ids: list[int]) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(ids[:12]))
