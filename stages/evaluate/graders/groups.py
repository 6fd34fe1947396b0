"""Mentions of options that an answer joins: two at once."""

import re
from collections.abc import Iterator
from itertools import pairwise

from stages.evaluate.graders.mentions import Mention
from stages.evaluate.graders.vocabulary import any_of

CONJUNCTION = re.compile(
    rf"\W{{0,3}}(?:{any_of('or')}|[/&]|, (?:maybe|perhaps|possibly))\W{{0,3}}"
    r"(?:(?:option|choice|also|even|an?|the) )?\W?",
    re.I,
)
COMMA, DOT = re.compile(r"\)?\s?,\s?\(?"), re.compile(r"\)?(?:[.,;]? ?|\n)\(?")
LIST_END = re.compile(r"\s?(?:$|[.;)\n])")


def groups(text: str, found: list[Mention]) -> Iterator[list[Mention]]:
    """Mentions that are joined: `B or C`, `A, B and D`, and, where the sentence ends there, `A, C.`."""
    group: list[Mention] = []
    commas = False
    for one, following in pairwise([*found, None]):
        group.append(one)
        between = text[one.end : following.start] if following else ""
        if following and CONJUNCTION.fullmatch(between):
            commas = False
        elif following and (COMMA if one.named or following.named else DOT).fullmatch(between):
            commas = True
        else:
            yield from [[one] for one in group] if commas and not LIST_END.match(text, one.end) else [group]
            group, commas = [], False
