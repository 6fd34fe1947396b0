"""What a person reads where a model cannot answer. Wording changes no answer: no stage depends on this file."""

from stages.files.errors import UserError


def needs_full_attention(model_type: str) -> UserError:
    return UserError(
        f"generation.engine: continuous cannot run {model_type}, whose attention is not full everywhere: "
        "set it to transformers"
    )


def reference_too_long(tokens: int, limit: int) -> UserError:
    return UserError(
        f"data: the longest question with its reference answer has {tokens} tokens, the model {limit} positions: "
        "leave it out of the rows"
    )


def answer_too_long(new: int, longest: int, limit: int) -> UserError:
    return UserError(
        f"generation.max_new_tokens: {new} after the longest prompt ({longest} tokens) exceeds the model's {limit} "
        "positions: lower it, or ask shorter questions"
    )
