"""Statements of an option's text.

A sentence states an option's text when it is that text, or concludes with it (`the most likely diagnosis is ...`, `...
is therefore the right choice`). Ruled out, asked about, supposed or merely listed it is not stated. Short texts (yes,
no, maybe, numbers) stand everywhere, and count only as a clause of their own or straight after a cue.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from stages.evaluate.graders.plain_text import SUPPOSES

WORD = re.compile(r"\w+|[<>=≤≥↑↓]")
SENTENCE_END = re.compile(r"\n|(?<!\b[A-Z])[.!?;](?=\s|$)")
SHORT = {"yes", "no", "maybe", "true", "false", "both", "none"}
CONCLUDES = re.compile(
    r"\b(?:most (?:likely|appropriate|probable|consistent)|best|correct|right (?:answer|choice)|answer|diagnosis|"
    r"next step|treatment of choice|therefore|thus|hence|conclu\w+|choose|choice|pick|select|recommend\w*|final|"
    r"would give|go with)\b",
    re.I,
)
RULED_OUT_BEFORE = re.compile(
    r"\b(?:not|no|nor|neither|unlike|than|instead of|rul\w+ out|exclud\w+|against|without|versus|vs|avoid|although|"
    r"isn't|can't be|eliminat\w+)(?:\s\w+){0,3}\s?$",
    re.I,
)
RULED_OUT_AFTER = re.compile(
    r"^\s?(?:\w+\s){0,2}?(?:is|are|was|would be|has|have|seems?|can|does|do|should)?\s?(?:also |very |clearly |be )?"
    r"(?:not|n't|cannot|no|unlikely|less likely|incorrect|wrong|contraindicated|ruled out|excluded|eliminated|avoided|"
    r"tempting|unsafe|dangerous)\b",
    re.I,
)
HEDGE = re.compile(r"^\W*(?:or|and|/)\W+(?:\w+\W+)?$", re.I)
STRAIGHT = re.compile(r"(?:\b(?:answer|says?|is|be|conclusion|boxed)\b|[:=])[\s:('-]*(?:the |a |an )?$", re.I)
CLAUSE_START = re.compile(r"(?:^|[.!?;:,\n(—–-])[\s(]*(?:\(?[A-Z][.):]\s?)?$")
CLAUSE_END = re.compile(r"^\s?(?:$|[.,;:!)\n—–]|-\s|(?:because|since|as|it|this|there|they)\b)")
ALONE = re.compile(r"\n?%?\.?(?:\n.*)?", re.S)
QUESTION = re.compile(r"^[^.\n!]{0,40}\?")


class Statement(NamedTuple):
    """Where something is stated, and which letter; None for two at once."""

    at: int
    letter: str | None


class Mention(NamedTuple):
    """An option's text in an answer."""

    start: int
    end: int
    letter: str
    short: bool


def statements(text: str, options: dict[str, str], taken: list[int]) -> list[Statement]:
    """Statements of an option's text; a text right behind a stated letter (at `taken`) belongs to the letter."""
    owned = {at + step for at in taken for step in range(1, 6)}
    alive = [one for one in standing(text, options) if one.start not in owned]
    found, index, start = [], 0, 0
    for end in [match.end() for match in SENTENCE_END.finditer(text)] + [len(text)]:
        here = []
        while index < len(alive) and alive[index].start < end:
            here.append(alive[index])
            index += 1
        if here:
            found += _stated(text, start, end, here)
        start = end
    return found


def standing(text: str, options: dict[str, str]) -> list[Mention]:
    """The mentions of options' texts that are not ruled out."""
    found = []
    for one in mentions(text, options):
        before = re.split(r"[.\n;:]", text[max(0, one.start - 60) : one.start])[-1]
        after = re.split(r"[.\n;:!?]", text[one.end : one.end + 60])[0]
        if one.short or not (RULED_OUT_BEFORE.search(before) or RULED_OUT_AFTER.match(after)):
            found.append(one)
    return found


def mentions(text: str, options: dict[str, str]) -> list[Mention]:
    """Where options' texts stand, the longest one at each place."""
    owners: dict[tuple[str, ...], set[str]] = {}
    for letter, option in options.items():
        for words in _names(option):
            owners.setdefault(tuple(words), set()).add(letter)
    known: dict[str, list[tuple[str, ...]]] = {}
    for words in sorted((words for words, letters in owners.items() if len(letters) == 1), key=len, reverse=True):
        known.setdefault(words[0], []).append(words)
    folded = text.casefold()
    if not any(first in folded for first in known):
        return []
    tokens = [(match[0].casefold(), match.start(), match.end()) for match in WORD.finditer(text)]
    found, free = [], 0
    for index, (token, start, _) in enumerate(tokens):
        for words in known.get(token, ()) if index >= free else ():
            if tuple(one[0] for one in tokens[index : index + len(words)]) == words:
                free = index + len(words)
                short = len(words) == 1 and (token in SHORT or len(token) < 3 or token.isdigit())
                found.append(Mention(start, tokens[free - 1][2], next(iter(owners[words])), short))
                break
    return found


def starts_with_any(text: str, options: dict[str, str]) -> bool:
    """Whether `text` starts with an option's text; its first four words are enough."""
    known, words = [_words(option)[:4] for option in options.values()], _words(text[:200])
    return any(one and words[: len(one)] == one for one in known)


def starts_longer(text: str, options: dict[str, str]) -> bool:
    """Whether the letter that `text` starts with is the first word of an option's text, as in `B cells`."""
    rest = _words(text)
    return any(len(words) > 1 and rest[: len(words)] == words for one in options.values() for words in _names(one))


def asked(after: str) -> bool:
    """Whether what stands before `after` ends in a question mark."""
    return bool(QUESTION.match(after))


def supposed(before: str) -> bool:
    """Whether the sentence at the end of `before` supposes (`if ..., it would be`, `some would say`)."""
    return bool(SUPPOSES.search(re.split(r"\.\s|\n", before)[-1]))


def _words(text: str) -> list[str]:
    return [word.casefold() for word in WORD.findall(text)]


def _names(option: str) -> list[list[str]]:
    """The words of an option's text, and of its common short forms (without brackets, `E. coli`)."""
    found = [_words(option), _words(re.sub(r"\([^()]*\)", " ", option))]
    if re.fullmatch(r"[A-Z][a-z]{3,} [a-z]{4,}", option.strip()):
        found.append([found[0][0][0], found[0][1]])
    return [one for one in found if one]


def _stated(text: str, start: int, end: int, here: list[Mention]) -> list[Statement]:
    """What the sentence `text[start:end]` states of the mentions in it."""
    sentence, found = text[start:end], []
    clauses = [one for one in here if one.short and _clause(text, one)]
    if clauses:
        others = {one.letter for one in here if one.short and _near(text, one, clauses[-1])}
        found.append(Statement(clauses[-1].start, None if len(others) > 1 else clauses[-1].letter))
    full = [one for one in here if not one.short]
    letters = {one.letter for one in full}
    if len(letters) not in (1, 2) or sentence.rstrip().endswith("?") or supposed(text[max(0, end - 200) : end - 1]):
        return found
    cue = CONCLUDES.search(sentence)
    if cue or len(_words(sentence)) <= len(_words(text[full[0].start : full[0].end])) + 1:
        later = [one for one in full if cue and one.start >= start + cue.end()]
        first = (later or full)[0]
        joined = any(HEDGE.match(text[one.end : two.start]) for one, two in pairwise(full))
        found.append(Statement(first.start, None if joined and len(letters) > 1 else first.letter))
    return found


def _near(text: str, one: Mention, other: Mention) -> bool:
    """Whether two short mentions are one, or joined as in `yes and no`."""
    first, second = sorted((one, other))
    return first == second or bool(re.fullmatch(r"\W*(?:or|and)?\W*", text[first.end : second.start], re.I))


def _clause(text: str, one: Mention) -> bool:
    """Whether a short text is a clause of its own; a number must stand straight after a cue."""
    before, after = text[max(0, one.start - 40) : one.start], text[one.end : one.end + 20]
    if text[one.start : one.end].isdigit():
        return bool(STRAIGHT.search(before) or ALONE.fullmatch(before[-1:] + after[:3]))
    return bool((STRAIGHT.search(before) or CLAUSE_START.search(before)) and CLAUSE_END.match(after))
