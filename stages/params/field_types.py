"""What every section of params.yaml is made of: checked types, no default, no unknown key."""

import json
import re
import reprlib
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxlist, SHORT.maxdict, SHORT.maxstring, SHORT.maxother = 2, 3, 3, 60, 60


def shown(value: Any) -> str:
    """A value as in the file, short and on one line."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > 200:
        return "a huge number"
    return SHORT.repr(value)


def matching(pattern: str, what: str) -> AfterValidator:
    """Hold a text to a pattern, the whole of it; messages say in words what it must be."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.DOTALL):
            raise ValueError(f"must be {what}")
        if re.search("[\ud800-\udfff]", text):  # YAML takes it, no file and no tokenizer does
            raise ValueError("must be without \\ud800 to \\udfff, which are halves of characters: write them whole")
        return text

    return AfterValidator(check)


def unique(key: Callable[[Any], Any] = lambda value: value) -> AfterValidator:
    """Hold a list to values that differ, by what `key` makes of each."""

    def check(values: list[Any]) -> list[Any]:
        counts = Counter(map(key, values))
        if twice := [value for value in values if counts[key(value)] > 1]:
            raise ValueError(f"must hold each value once, and {shown(twice[0])} comes again: remove the copy")
        return values

    return AfterValidator(check)


def _on_calendar(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day of the calendar") from None
    return text


Text = Annotated[str, matching(r".*\S.*", "a text that is not blank")]
Commit = Annotated[str, matching(r"[0-9a-f]{40}", "a commit in full, 40 hexadecimal digits")]
Sha256 = Annotated[str, matching(r"[0-9a-f]{64}", "a SHA-256, 64 hexadecimal digits")]
SetName = Annotated[str, matching(r"[a-z][a-z0-9_-]*", "small letters, digits, - and _, a letter first")]
FileName = Annotated[
    str,
    matching(
        r"(?!/)(?!(?:.*/)?\.\.(?:/|$))(?:[^\x00-\x1f\x7f]*/)?[^\x00-\x1f\x7f/.][^\x00-\x1f\x7f/]*\."
        r"(?:json|jsonl|csv|parquet)",
        "the path of a .json, .jsonl, .csv or .parquet file inside data/input, or inside the package",
    ),
]
Template = Annotated[
    str, matching(r"(?!.*\{question\}.*\{question\}).*\{question\}.*", "a text that holds {question} exactly once")
]
# What the Hub takes as the name of a repository: never the path of a folder, which its client would read unpinned.
HubPath = Annotated[
    str, matching(r"(?!.*(?:--|\.\.))[A-Za-z0-9_][\w.-]{0,95}(?:/[A-Za-z0-9_][\w.-]{0,95})?(?<![.-])", "owner/name")
]
Package = Annotated[str, matching(r"(?!__)[A-Za-z_][A-Za-z0-9_]*", "the name by which Python imports the package")]
GgufFile = Annotated[str, matching(r"[^\x00-\x1f\x7f/.][^\x00-\x1f\x7f/]{0,200}\.gguf", "the name of a .gguf file")]
Date = Annotated[str, matching(r"\d{4}-\d\d-\d\d", 'a date in quotes, as "2024-07-26"'), AfterValidator(_on_calendar)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A section of params.yaml: every key required, no other key allowed, no type converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())
