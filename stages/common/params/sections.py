"""What every section of params.yaml is made of: checked types, no default, no unknown key."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def matching(pattern: str, what: str) -> AfterValidator:
    """Hold a text to a pattern, the whole of it; messages say in words what it must be."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.DOTALL):
            raise ValueError(f"must be {what}")
        return text

    return AfterValidator(check)


Text = Annotated[str, matching(r".*\S.*", "a text that is not blank")]
Commit = Annotated[str, matching(r"[0-9a-f]{40}", "a commit in full, 40 hexadecimal digits")]
Sha256 = Annotated[str, matching(r"[0-9a-f]{64}", "a SHA-256, 64 hexadecimal digits")]
SetName = Annotated[str, matching(r"[a-z][a-z0-9_-]*", "small letters, digits, - and _, a letter first")]
FileName = Annotated[
    str,
    matching(
        r"(?!/)(?!(?:.*/)?\.\.(?:/|$))[^\n]+\.(?:json|jsonl|csv|parquet)",
        "the path of a .json, .jsonl, .csv or .parquet file inside data/input",
    ),
]
Template = Annotated[
    str, matching(r"(?!.*\{question\}.*\{question\}).*\{question\}.*", "a text that holds {question} exactly once")
]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A section of params.yaml: every key required, no other key allowed, no type converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())
