"""Numbers: the answer is the result that is stated last, with the most weight.

From most to least: an answer line (`Answer: 3`, `\\boxed{3}`); a number tied to a total, to `the score` or to what the
question asks for (`CURB-65 is 3`, `she gets 3 points`), or a first or last line that is a number; one tied to another
word for a result; the end of an equation; the only number of a brief answer. Tied is the end of an equation behind the
word, else the first number that a verb or a colon links to it, else one before it (`3 is the sum`). Digits in names
(CURB-65), list items, bounds (`at least 3`), general remarks (`a score of 3 means ...`), running totals (`+1 = 2`),
suppositions, numbers in another unit than the one asked for and, where something else is stated, numbers in brackets
are none. A range or two results (`2 or 3`) state none. `3/5` and `3 of 5` are 3, or 0.6 where a percentage is asked.
Integers must be equal, other numbers may differ by a relative tolerance; a unit of the same kind is converted.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from stages.evaluate.graders import numerals
from stages.evaluate.graders.numerals import NUMBER, Reading, reading
from stages.evaluate.graders.plain_text import sentences
from stages.evaluate.graders.vocabulary import ANSWER_LINE, ASKED, SUPPOSED, TURN, any_of

QUESTION, REACH = 90, 80  # characters of a short question, and between a number and what it is tied to
BRIEF = 24  # words of a brief answer
PERSON = (
    rf"{any_of('person')}(?= (?:an? |the )?(?:[\w-]+ (?:score )?of )?{NUMBER}(?! points? (?:for|each)))|"
    r"\bgives (?:him|her|the patient)\b"
)
UNASKED = re.compile(any_of("asks"), re.I)
BESIDE = re.compile(
    r"\b(?:in|per) \S+|\b(?:of|for|if) (?:an?|this|\d).*|[,;:].*"
)  # what a question adds to what it asks
BARE = re.compile(
    r"(?:[-•+] )?(?:(?:(?:and )?(?:so|thus|hence|therefore)|yes|no),? )?(?:(?:it|that|this)(?:'s| is)? )?"
    r"(?:(?:is|makes|gives|equals|adds up to|comes to) )?(?:(?:an?|about|approximately|around) )?[^\w+–<>≥≤-]{0,8}"
    rf"(?P<number>{NUMBER})\s?(?:%|[a-zμ°]+|[分点])?\s?"
    r"(?:\(.*\)|(?:→|: | [—–-] [a-z]|,? (?:that is|which|because|since|as|so)\b).*)?[^\w+]*$",
    re.I,
)
CLOSING = re.compile(r"[,;:] (?=(?:and )?(?:so|thus|hence|therefore)\b)")
CLAUSE = re.compile(r"(?:;|,(?!\d{3}\b)|\b(?:with|because|since|where|which)\b)")
LINKED = re.compile(
    rf"(?:^|{any_of('is', 'gives')}|'s\b|[=≈~→]|^[^:]*:)[\s:]{{0,3}}(?:{any_of('about')}\s?|[≈~=(-]\s?|\s){{0,8}}+$",
    re.I,
)
BEHIND = re.compile(
    rf"(?P<number>{NUMBER})(?:[^.;=:]{{0,30}} (?:is|was|as) (?:\w+ ){{0,3}}|(?P<points> points? (?:in )?| in )|"
    r"  ?(?:the |a )?)$",
    re.I,
)
EQUALS = re.compile(rf"(?:[=≈→]|that is,?)\s?(?P<number>{NUMBER})")
OPERATOR = re.compile(r"\s?(?:[a-zA-Zμ/]{1,8}\s?)?(?:[+×*÷^/]|-\s)\s?[\d(]")
BRACKET = re.compile(r"(?<!boxed: )\([^()]*\)")
RUNNING = re.compile(r"[+-](?<![\d)]\s.)(?<![\w)^].)\s?\d+(?:\.\d+)?\s?=(?:\s?-?\d+(?:\.\d+)?)?")
ITEM = re.compile(r"^(?:[-•] )?\d{1,2}[.)] (?=\S)", re.M)
NAMED = re.compile(r"\b(?:type|grade|stage|class|step|phase) \d\w?", re.I)
BOUND = re.compile(rf"(?:{any_of('bound')}|[<>≥≤])\s?$", re.I)
BOUND_AFTER = re.compile(
    r"\s?(?:(?:points? )?(?:or (?:more|less|higher|lower|above|below|greater|over)\b|and above\b|\+|for\b[^.]*\d)|"
    r"(?:min\w*|hours?|days?|weeks?|months?) (?:is|was|[=:])|-?years?(?: old|-old| of age)|"
    r"(?:items|components|groups|categories|criteria (?:are(?! (?:met|fulfill?ed|satisfied|present))|makes?))\b)"
)
ANY, DIGITS = re.compile(NUMBER), re.compile(r"(?<![\w.-])\d+(?:\.\d+)?")
TWO = re.compile(
    rf"\s?%?(?:points? ?|[a-z]{{1,3}} (?=or\b))?(?:\? ?)?(?:or|to|and|[-–—]|bis|a|oder|至|到|或)\s?{NUMBER}"
)
GENERAL = re.compile(
    r"\W*(?:an? (?:[\w-]+ ){0,3}?(?:score|scale|patient)\b.{0,20}? (?:of|with|who)|scores? (?:of|above|below|from)|"
    r"patients?|those|each|every|any|with an?|in this score|when)\b",
    re.I,
)
OTHER = re.compile(any_of("other"), re.I)
COUNTED = re.compile(r"\b(?:score|count|points|scale|criteria|total)\b", re.I)


def stated(text: str, question: str = "", share: bool = False) -> Reading | None:
    """The number that a plain text states as its result, or None; of a `share`, `9 of 10` is 0.9."""
    text = ITEM.sub("", text) if len(ITEM.findall(text)) > 1 else text
    text, steps = RUNNING.subn(" ", numerals.spelled(text.replace(":\n", ": ")))
    share = share or "%" in numerals.spelled(question)
    text = numerals.parts(text, share)
    cue = _cue(question)
    for within in [BRACKET.sub("()", text)] if steps else dict.fromkeys((BRACKET.sub("()", text), text)):
        parts = TURN.split(within)
        for part in reversed(parts):
            found = [(weight, one) for weight, one in _results(part, cue) if _in_unit(one, question)]
            if found:
                most = [one for weight, one in found if weight == max(found, key=lambda one: one[0])[0]]
                return next((one for one in reversed(most) if one), None)
            if part is not parts[0] and len(part.split()) <= BRIEF / 2 and (found := _only(part, question)):
                return found
    parts = _sentences(text)
    if steps:
        return None
    chains = filter(None, (_chain(BRACKET.sub("()", part)) for part in reversed(parts)))
    brief, parts = len(text.split()) <= BRIEF, [one for one in parts if not OTHER.search(one)] or parts
    found, rest = next(chains, None), " ".join(parts)
    if found or not brief:
        return found
    return (_only(BRACKET.sub("()", rest), question) if rest.count("(") == 1 else None) or _only(rest, question)


def _in_unit(one: Reading | None, question: str) -> bool:
    """Whether a number is in no unit, or in one of the kind that the question asks for."""
    given, asked = numerals.unit_of(one) if one else None, numerals.asked_unit(question)
    return not (given and asked) or given[0] == asked[0]


def _sentences(text: str) -> list[str]:
    """The sentences with a number that state something, without what is supposed."""
    found = [SUPPOSED.sub("", one) for one in sentences(text) if ANY.search(one) and not ASKED.search(one)]
    return [one for one in found if ANY.search(one)]


def _cue(question: str) -> re.Pattern[str]:
    """Words for a result; the strong ones: for a total, for what a short question asks, and what a person gets."""
    parts = re.split(r"(?<=[.?!])\s+", question.strip())
    asked = BESIDE.sub("", ([part for part in parts if part.endswith("?")] or parts)[-1])
    words = [word for word in re.findall(r"[\w-]{3,}", asked) if not UNASKED.fullmatch(word)]
    initials = re.findall(r"[A-Z]{3,}", " ".join(words))
    initials += ["".join(word[0].upper() for word in words)] if len(words) > 1 else []
    named = [*map(re.escape, words), *(f"(?-i:{one})" for one in initials)] if len(asked) < QUESTION else []
    strong = rf"{any_of('total')}|\b(?:{'|'.join(named) or 'score'})(?!\w)|{PERSON}"
    return re.compile(rf"(?P<strong>{strong})|{any_of('score')}", re.I)


def _results(text: str, cue: re.Pattern[str]) -> Iterator[tuple[int, Reading | None]]:
    """What a text states as the result, in order: weight and number; None for two at once."""
    parts = _sentences(text)
    for index, part in enumerate(parts):
        closing = CLOSING.search(part)
        if closing or index in (0, len(parts) - 1):
            bare = BARE.match(part, closing.end() if closing else 0)
            if bare:
                yield 2, reading(part, *bare.span("number"))
                continue
        line = ANSWER_LINE.match(part)
        general = GENERAL.match(part) is not None and (part != text.strip() or part[:5].lower() in ("each ", "every"))
        start = strong = 0
        for tie, following in pairwise([*cue.finditer(part), None]):
            strong = bool(tie["strong"]) or (strong and not CLAUSE.search(part, start, tie.start()))
            start = tie.end()
            before = re.split("[,;]", part[max(0, tie.start() - 20) : start])[-1]
            if OTHER.search(before + part[start : start + 8]) or (general and not line):
                continue
            backward = BEHIND.search(part[: tie.start()], max(0, tie.start() - REACH))
            stop = following.start() if following else len(part)
            found = [] if backward and backward["points"] else _tied(part, start, stop)
            if not found and backward:
                found = [reading(part, *backward.span("number"))]
            yield from [(3 if line else 1 + strong, one) for one in found]


def _tied(text: str, start: int, stop: int) -> list[Reading | None]:
    """The result that is tied to the word for it that ends at `start`."""
    if chain := _chain(CLAUSE.split(text[start:stop])[0]):
        return [chain]
    for match in ANY.finditer(text, start, min(stop, start + REACH)):
        end = match.end()
        if LINKED.search(text[start : match.start()]) and not (
            BOUND_AFTER.match(text, end) or OPERATOR.match(text, end)
        ):
            return [None if TWO.match(text, end) else reading(text, *match.span())]
    return []


def _chain(text: str) -> Reading | None:
    """The number behind the last equals sign, where no operator follows it."""
    matches = [one for one in EQUALS.finditer(text) if not OPERATOR.match(text, one.end())]
    return reading(text, *matches[-1].span("number")) if matches else None


def _only(text: str, question: str) -> Reading | None:
    """The only number of a brief answer that the question does not give; no percentage where points are counted."""
    given, text = set(map(float, DIGITS.findall(question))), NAMED.sub(" ", text)
    found = [one for one in ANY.finditer(text) if numerals.value(one[0]) not in given]
    if asked := numerals.asked_unit(question):
        units = {one: numerals.unit_of(reading(text, *one.span())) for one in found}
        found = [one for one, unit in units.items() if unit and unit[0] == asked[0]] or found
    if OTHER.search(text) or any(TWO.match(text, one.end()) for one in found):
        return None
    bound = [one for one in found if BOUND.search(text, 0, one.start()) or BOUND_AFTER.match(text, one.end())]
    found, units = [one for one in found if one not in bound], {reading(text, *one.span()).unit for one in found}
    if len(found) != 1 or (bound and (len(units) > 1 or "" in units)):
        return None
    result = reading(text, *found[0].span())
    if result.unit == "%" and COUNTED.search(question):
        return None
    return result if _in_unit(result, question) else None
