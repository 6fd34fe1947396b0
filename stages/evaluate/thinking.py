"""An answer in two parts: its thinking, and what follows, which alone is graded."""

import re
from typing import Literal, NamedTuple

TAGS = ("<think>", "</think>")
# Headings that part an answer in the same way, as HuatuoGPT-o1 writes them.
HEADED = re.compile(r"\A\s*(?:#{1,4} ?|\*\*)thinking\W*\n", re.I)
HEADING = re.compile(r"^(?:#{1,4} ?|\*\*)final response\b\W*", re.I | re.M)


class Thinking(NamedTuple):
    """Both parts without the blanks around them."""

    state: Literal["none", "open", "closed"]
    reasoning: str | None  # None in the state none
    answer: str | None  # None in the state open


def split(text: str, tags: tuple[str, str] = TAGS, opened: bool = False) -> Thinking:
    """Split a text at its last closing tag; where an opening one follows that, no answer does.

    `opened` says that the prompt ends in the opening tag, as that of R1's own chat template does.
    """
    opening, closing = (re.compile(re.escape(tag), re.I) for tag in tags)
    ends = [match.span() for match in closing.finditer(text)]
    end, start = ends[-1] if ends else (0, 0)
    if opening.search(text, start) or (opened and not ends):
        return Thinking("open", opening.sub("", text, count=1).strip(), None)
    reasoning = opening.sub("", text[:end], count=1).strip() if ends else None
    answer = text[start:].strip()
    if tags == TAGS and HEADED.match(answer):
        return _headed(answer, reasoning)
    return Thinking("closed" if ends else "none", reasoning, answer)


def _headed(text: str, reasoning: str | None) -> Thinking:
    parts = HEADING.split(text, maxsplit=1)
    thought = "\n".join(filter(None, [reasoning, HEADED.sub("", parts[0]).strip()]))
    return Thinking("closed", thought, parts[1].strip()) if len(parts) > 1 else Thinking("open", thought, None)
