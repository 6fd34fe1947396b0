"""The base model on plain English, before it is asked anything."""

import math
from typing import Any

from stages.generate import generation_errors, likelihood
from stages.model import plain_english


def bits_per_byte(model: Any) -> float:
    """Bits a byte of plain English. Raises UserError for weights that know no word of it."""
    ids = model.tokenizer(plain_english.TEXT).input_ids  # its first token, BOS where the model has one, is given
    row = {"prompt_ids": ids[:1], "completion_ids": ids[1:]}
    (loss,) = likelihood.reference_losses(model.network, [row], {})
    found = round(loss * len(row["completion_ids"]) / math.log(2) / len(plain_english.TEXT.encode()), 2)
    if plain_english.judged(model.tokenizer) and not found <= plain_english.MOST_BITS_PER_BYTE:
        raise generation_errors.MODEL_BROKEN(found=found, most=plain_english.MOST_BITS_PER_BYTE)
    return found
