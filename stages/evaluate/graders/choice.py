"""Multiple choice: the answer is the option that is stated last, with the most weight.

From most to least: an answer line (`Answer: C`, `\\boxed{C}`); a letter, or a text that is called the answer, in a
sentence that concludes (`so C`, `C is correct`, `the best choice is aspirin`) or holds nothing else; another text
there; and, in an answer that states nothing so, the only option that it mentions and does not reject, or that it leaves
when it rejects all others, or that it implies (graders/implied.py). An option that is rejected, asked about, supposed,
or stands in a dependent clause is not stated. Two options at once (`B or C`) state none. Lines that go through the
options state nothing, except what they call right.
"""

import re
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import NamedTuple

from stages.evaluate.graders import implied, vocabulary
from stages.evaluate.graders.groups import groups
from stages.evaluate.graders.mentions import LAST, Mention, expanded, mentions
from stages.evaluate.graders.option_lists import without_lists
from stages.evaluate.graders.plain_text import plain
from stages.evaluate.graders.vocabulary import any_of

FINISHED, BRIEF = re.compile(r"[.!)\"':]$"), 8  # an answer of more than eight words ends with a full stop
LONGEST = 1000  # characters of a sentence
END = re.compile(r"\n|(?<!\b[A-Z])[.!?;](?=\s|$)|[.!?;](?=\s[^a-z\s]|\s?$)")
CLAUSE = re.compile(rf"[,;:()—–]|\.\.\.| - |\n|{any_of('but')}|(?P<dependent>{any_of('because')})", re.I)
HOLDS = re.compile(
    r"(?:\d[.)])?\W*(?:(?:it|this|that|he|she|the|an?|patient|has|have|is|was|be|must|just|yes|no|not|s|d|i|probably|"
    r"certainly|option|choice|letter|number|选项|es|ist|est|la|el|le|die)\b\W*){0,6}",
    re.I,
)
HOLDS_BEHIND = re.compile(
    r"\)?\s?(?:(?:it is|first|alone|only|deficiency|disease|infection|yes|correct|right)\s?)?"
    r"(?:$|[.;!)\n]|,? ?(?:because|since|as|given|then|followed by|因为))",
    re.I,
)
LETTER_BEHIND = re.compile(r"\)?\s?[,:—–-]")
ANSWER_WORD = re.compile(any_of("answer"), re.I)
SAYS = re.compile(
    rf"(?:{any_of('answer', 'is')}|\b(?:boxed|says?|suggests?|favou?rs?|maybe)\b|[:=])[\s:(=-]*(?:the |an? )?$", re.I
)
STRAIGHT = re.compile(rf"(?:{any_of('is')}|[:=])\s?\(?$", re.I)
OWN_CLAUSE = re.compile(
    r"(?:^|(?<!\d)[.,]|[?!;:\n(—–-]|'s|\b(?:but|so|thus|hence|therefore|is|remains|clear|definitely|probably|clearly))\s?\(?"
    r"(?:an? )?$",
    re.I,
)
OWN_CLAUSE_END = re.compile(
    r"\s?的?(?:$|[.,](?!\d)|[;:!()\n—–]|-\s|(?:because|since|as|it|this|there|they|to|in|for|but)\b|です|입니다|"
    r"(?:is|seems) (?:to be )?the (?:best|correct|right)\b)"
)
CALLED_WRONG = re.compile(r"\)?\s?[:—–(-]\s?(?:no|wrong|incorrect|false|falsch)\b", re.I)
BUT = re.compile(r"but|sondern|aber|sino|pero|mais|а|но|而是|但", re.I)
CALLED_RIGHT = re.compile(
    r"(?: ?: [^\n:]{0,60}){0,4}: ?\(?(?:yes|correct|true|right|best|most likely)\b\W*(?:\n|$)", re.I
)
ALL_BUT = re.compile(
    r"\b(?:all|everything|anything|none|nothing|any)\b.{0,20}\b(?:but|except|other than)\W+(?:\w+ )?$", re.I
)


class Found(NamedTuple):
    """What a text says of its options."""

    statements: list[tuple[int, int, str | None]]  # weight, where, letter; None for two at once
    standing: set[str]  # mentioned and not rejected
    dependent: set[str]  # the same in dependent clauses
    rejected: set[str]


def stated(text: str, options: dict[str, str], question: str = "") -> str | None:
    """The letter of the option that a plain text states, or None."""
    text = vocabulary.phrased(text)
    options = {letter: vocabulary.phrased(plain(option)) for letter, option in options.items()}
    text = implied.placed(expanded(text, options), options)
    negative = "no" not in options.values() and vocabulary.NEGATIVE_QUESTION.search(question[-200:]) is not None
    first, *turned = vocabulary.TURN.split(text)
    for part in [*reversed(turned[-LAST:]), first]:
        found = _read(part, options, negative)
        if found.statements:
            return max(found.statements, key=lambda one: one[:2])[2]
        opening = next(iter(mentions(part, options)), None) if part is not first else None
        if opening and HOLDS.fullmatch(part, 0, opening.start) and opening.letter in found.standing:
            return opening.letter
        if part is not first and len(found.standing) == 1 and len(part.split()) <= BRIEF:
            return found.standing.pop()
    if letter := implied.by_value(text, options, question) or implied.denied(text, options, question):
        return letter
    found = _read(text, options, negative)
    left = set(options) - found.rejected
    if len(left) == 1 and len(options) > 3:
        return left.pop()
    named = found.standing or found.dependent
    said = mentions(text, options)
    lettered = {one.letter for one in said if not one.named} & named
    if len(named) > len(lettered) == 1 and len(text.split()) <= BRIEF:  # `Aspirina (C)`
        return lettered.pop()
    opens = len(named) == 1 and said[0].start < 2 and said[0].end > BRIEF
    cut = not FINISHED.search(text) and len(text.split()) > BRIEF and not opens
    if cut or len(named) > 1:
        return (
            None if cut else implied.by_question(text, options, question) or implied.by_opening(text, options, question)
        )
    if named or found.rejected:
        return named.pop() if named else None
    return implied.by_words(text, options, question)


def _read(text: str, options: dict[str, str], negative: bool) -> Found:
    """What a text says of its options; a `negative` question asks for what is rejected."""
    text = without_lists(text, options)
    found, here = Found([], set(), set(), set()), []
    joined = [one for one in groups(text, mentions(text, options)) if any(_own_clause(text, each) for each in one)]
    ends = [0, *(match.end() for match in END.finditer(text)), len(text)]
    for group, following in pairwise([*joined, None]):
        here.append(group)
        end = ends[bisect_left(ends, group[-1].end)]  # behind all of `B. Embolism`
        if following is None or following[0].start >= end or following[0].start - here[0][0].start > LONGEST:
            first = here[0][0].start
            start, end = max(ends[bisect_right(ends, first) - 1], first - LONGEST), min(end, group[-1].end + LONGEST)
            if not vocabulary.ASKED.search(text[start:end]):
                _sentence(text, start, end, here, found, negative)
            here = []
    return found


def _sentence(text: str, start: int, end: int, groups: list[list[Mention]], found: Found, negative: bool) -> None:
    """Add what the sentence `text[start:end]` says of the options in it."""
    sentence, live = text[start:end], []
    supposed, breaks = vocabulary.SUPPOSED.search(sentence), list(CLAUSE.finditer(text, start, end))
    for group in groups:
        letters, last = {one.letter for one in group}, group[-1].end
        before, after, dependent = _clause(text, start, end, group, breaks)
        straight = not group[0].named and STRAIGHT.search(before)
        if len(letters) == 1 and (ALL_BUT.search(text, start, group[0].start) or CALLED_RIGHT.match(text, last)):
            found.statements.append((2, group[0].start, group[0].letter))
        elif not negative and (
            vocabulary.NOT_BEFORE.search(before)
            or (not straight and not group[0].short and vocabulary.WRONG_AFTER.match(after))
            or (not group[0].short and CALLED_WRONG.match(text, last))
        ):
            found.rejected.update(letters)
        elif not (supposed and start + supposed.start() <= group[0].start < start + supposed.end()):
            (found.dependent if dependent else found.standing).update(letters)
            if not dependent and not vocabulary.PERHAPS.search(before + after):
                live.append(group)
    line = vocabulary.ANSWER_LINE.search(text, start, end)
    lined = [group for group in live if line and group[0].start >= line.end()]
    cues = [start + match.end() for match in vocabulary.CONCLUDES.finditer(sentence)]
    ahead = [group for group in live if cues and group[0].start >= cues[0]]
    near = [
        one
        for one in live
        if _next(cues, one[-1].end, end + 2) < _next([each.end() for each in breaks], one[-1].end, end + 1)
    ]
    behind = near[-1:] or (live if cues and len(live) == 1 else [])
    turns = [each.end() for each in breaks if BUT.fullmatch(each[0])] if len(live) == 1 < len(groups) else []
    alone = [one for one in live[:1] if one[0].short or any(_bare(text, at, one) for at in [start, *turns])]
    for group in (lined or ahead or behind or alone)[:1]:
        letters = {one.letter for one in group}
        strong = not group[0].named or (len(letters) == 1 and ANSWER_WORD.search(text, start, group[0].start))
        first = group[0].short and group[0].start < 2 and not cues  # `No. ...`
        weight = 3 if lined else 2 if strong or first else 1
        found.statements.append((weight, group[0].start, letters.pop() if len(letters) == 1 else None))


def _next(places: list[int], at: int, default: int) -> int:
    """The first of the places, in order, behind `at`."""
    index = bisect_right(places, at)
    return places[index] if index < len(places) else default


def _clause(
    text: str, start: int, end: int, group: list[Mention], breaks: list[re.Match[str]]
) -> tuple[str, str, bool]:
    """What stands in its clause before and after a group, and whether the clause depends on another."""
    first, last = group[0].start, group[-1].end
    ahead = [one for one in breaks if one.end() <= first]
    stop = next((one.start() for one in breaks if one.start() >= last), end)
    dependent = next((bool(one["dependent"]) for one in reversed(ahead) if one[0] not in "()"), False)
    return text[ahead[-1].end() if ahead else start : first], text[last:stop], dependent


def _bare(text: str, start: int, group: list[Mention]) -> bool:
    """Whether a sentence holds one option and next to nothing else."""
    end = group[-1].end
    ends = HOLDS_BEHIND.match(text, end) or (not group[0].named and LETTER_BEHIND.match(text, end))
    return bool(ends and len({one.letter for one in group}) == 1 and HOLDS.fullmatch(text, start, group[0].start))


def _own_clause(text: str, one: Mention) -> bool:
    """Whether a mention, if by a short text, is a clause of its own or stands straight behind a word for the answer."""
    before, after = text[max(0, one.start - 40) : one.start], text[one.end : one.end + 20]
    return not one.short or bool((SAYS.search(before) or OWN_CLAUSE.search(before)) and OWN_CLAUSE_END.match(after))
