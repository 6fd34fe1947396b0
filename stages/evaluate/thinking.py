"""An answer in two parts: its thinking, and what follows, which alone is graded."""

import re
from typing import Literal, NamedTuple


class Tags(NamedTuple):
    """What opens and closes the thinking, and whether the prompt ends in the first, as R1's chat template does."""

    opens: str = "<think>"
    closes: str = "</think>"
    opened: bool = False


TAGS = Tags()
# Headings that part an answer in the same way, as HuatuoGPT-o1 writes them.
HEADED = re.compile(r"\A\s*(?:#{1,4} ?|\*\*)thinking\W*\n", re.I)
HEADING = re.compile(r"^(?:#{1,4} ?|\*\*)final response\b\W*", re.I | re.M)


class Thinking(NamedTuple):
    """Both parts without the blanks around them."""

    state: Literal["none", "open", "closed"]
    reasoning: str | None  # None in the state none
    answer: str | None  # None in the state open


def split(text: str, tags: Tags = TAGS) -> Thinking:
    """Split a text at its last closing tag; where an opening one follows that, no answer does."""
    opening, closing = (re.compile(re.escape(tag), re.I) for tag in (tags.opens, tags.closes))
    ends = [match.span() for match in closing.finditer(text)]
    end, start = ends[-1] if ends else (0, 0)
    if opening.search(text, start) or (tags.opened and not ends):
        return Thinking("open", opening.sub("", text, count=1).strip(), None)
    reasoning = opening.sub("", text[:end], count=1).strip() if ends else None
    answer = text[start:].strip()
    if HEADED.match(answer):
        return _headed(answer, reasoning)
    return Thinking("closed" if ends else "none", reasoning, answer)


def _headed(text: str, reasoning: str | None) -> Thinking:
    parts = HEADING.split(text, maxsplit=1)
    thought = "\n".join(filter(None, [reasoning, HEADED.sub("", parts[0]).strip()]))
    return Thinking("closed", thought, parts[1].strip()) if len(parts) > 1 else Thinking("open", thought, None)
