"""How `transformers serve` makes a message of an answer: all of its text, and the opening that the prompt wrote."""

import re
from typing import Any

from stages.data.prompts import Formatter


def template(formatter: Formatter, stops: list[str]) -> dict[str, Any]:
    """The `response_template` of a tokenizer, for the prompts of a formatter and for all stop tokens.

    Without one the server drops tags that are special tokens, and takes a template of its own for some families: of
    Qwen2 it sends the whole prompt as part of the answer, where the prompt is not in Qwen's chat style.
    """
    # All of the prompt is skipped, but for an opening at its end: clients fold the thinking by it.
    opens = re.escape(formatter.prompt.thinking_tags[0])
    kept = rf"(?={opens}\s*\Z)" if formatter.thinking_opened else r"\Z"
    content = {"content": "text", "content_args": {"strip": False}, "repeats": True, "join": "", "close": stops}
    return {"start_anchor_pattern": rf"\A.*{kept}", "fields": {"content": content}}
