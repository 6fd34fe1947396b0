"""Numbers: the answer is the last result that is stated, not a number that occurs on the way.

A result is a number tied to a word for a result or to what the question asks for (`the score is 3`, `Total: 3`, `3 is
the sum`, `\\boxed{3}`), a first or last line that is a number (`3 points`), the end of a final equation (`2 + 1 = 3`),
or the only number of the answer. Digits in names (CURB-65, ABCD2), numbers of list items, bounds (`at least 3`, `3 or
more`), general remarks (`A score of 3 means ...`, `the maximum score is 5`), running totals (`+1 = 2`), suppositions
and numbers in brackets are none. A range or two results at once (`2 or 3`) state none, and take back what was stated
before. `3/5` and `3 out of 5` are 3. Integers must be equal; other numbers may differ by a relative tolerance. How a
number is read, numerals.py says.
"""

import re

from stages.evaluate.graders.numerals import NUMBER, occur, value
from stages.evaluate.graders.plain_text import SUPPOSES, sentences

QUESTION, REACH = 90, 80  # characters of a short question, and between a number and what it is tied to
BRIEF, MANY = 12, 4  # words of a brief answer, and numbers, those in names included, of which none is the only one
RESULT = (
    r"scores?|total|sum|answer|result|index|scale|value|boxed|final|conclusion|number of (?:\w+ ){1,3}(?:met|failed)|"
    r"(?<!cell )(?<!blood )(?<!platelet )(?<!leukocyte )count"
)
UNASKED = {"what", "the", "his", "her", "their", "its", "for", "this", "patient", "give", "work", "out", "calculate"}
UNASKED |= {"state", "find", "score", "and", "are", "does", "which", "how", "many"}
CASE = re.compile(r"\b(?:of|for) (?:an?|this|\d)|[,;:]")  # where a question goes over from what it asks to the case
FILL = (
    r"(?i:(?:about|approximately|around|roughly|only|now|therefore|thus|then|exactly|likely|probably|(?:a |an |the )?"
    r"(?:total|score|result|value)|the|of|points|equal to|is|be|at|as)\b\s?|[:≈~=(]\s?){0,8}+"
)
LINK = re.compile(
    r"(?i:\b(?:is|was|are|be|equals?|but|makes?|gives?|becomes?|"
    r"(?:comes|adds up|amounts|sums|corrected|rounds|rises) to)\b"
    rf"|'s\b|[=≈~:→])\s?{FILL}(?P<number>{NUMBER})"
)
DIRECT = re.compile(rf"(?:[\s:(]|-\s){{0,8}}+{FILL}(?P<number>{NUMBER})")
BACKWARD = re.compile(rf"(?P<number>{NUMBER})[^.;=]{{0,30}}\b(?:is|was|as) (?:\w+ ){{0,3}}$")
TALLY = re.compile(
    rf"(?i:\b(?:he|she|they|patient|man|woman)) (?:gets|has|have|earns|receives) (?P<one>{NUMBER}) points?\b(?! for\b)|"
    rf"(?P<two>{NUMBER})(?: points?)? (?:in total|altogether|in all)\b"
)
BARE = re.compile(
    r"(?:[-•+] )?(?:(?:so|thus|therefore),? |(?:yes|no), )?(?:(?:it|that|this)(?:'s| is| makes| gives) )?"
    rf"[^\w+–-]{{0,8}}(?P<number>{NUMBER})\s?(?:%|[a-zµ°/^0-9]+)?\s?(?:\(.*\))?\W*$",
    re.I,
)
RUN_OF_DIGITS = re.compile(r"\d+")
EQUALS = re.compile(rf"[=≈]\s?(?P<number>{NUMBER})")
OPERATOR = re.compile(r"\s?(?:[a-zA-Z/]{1,8}\s?)?(?:[+×*÷^/]|-\s)\s?[\d(]")
BREAK = re.compile(r";|,(?!\d{3}\b)|\b(?:with|because|since|where|which)\b")
BRACKET = re.compile(r"\([^()]*\)")
OUT_OF = re.compile(rf"(?P<number>{NUMBER})\s?(?:/|out of)\s?\d++(?![\d.]*\s?[=)^])(?!\.\d)")
RUNNING = re.compile(r"[+-](?<![\d)]\s.)(?<![\w)].)\s?\d+(?:\.\d+)?\s?=(?:\s?-?\d+(?:\.\d+)?)?")
ITEM = re.compile(r"^(?:[-•] )?\d{1,2}[.)] (?=\S)", re.M)
BEFORE_NO_RESULT = re.compile(
    r"(?:\b(?:at least|at most|above|below|over|under|less than|more than|greater than|lower than|up to|not|within|"
    r"type|grade|stage|class|step|phase)|[<>≥≤])\s?$",
    re.I,
)
AFTER_NO_RESULT = re.compile(
    r"\s?(?:(?:points? )?(?:or (?:more|less|higher|lower|above|below|greater|over)\b|and above\b|\+|for\b[^.]*\d)|"
    r"(?:min\w*|hours?|days?|weeks?|months?) (?:is|was|[=:]))"
)
TWO = re.compile(rf"\s?(?:points? ?)?(?:\? ?)?(?:or|to|[-–—])\s?{NUMBER}")
GENERAL = re.compile(r"\W*(?:an?|any|scores?|patients?|those|each|every)\b", re.I)
OF = re.compile(r"\bof\s?$")
OTHER = re.compile(r"\b(?:maxim\w+|highest|possible|minimum|lowest|normal|average|typical|standard|cut-?off)\b", re.I)
COUNTED = re.compile(r"\b(?:score|count|points|scale|criteria|total)\b", re.I)


def stated(text: str, question: str = "") -> float | None:
    """The number that a plain text states as its result, or None."""
    text, steps = RUNNING.subn(" ", ITEM.sub("", text))
    parts = [_whole(part) for part in sentences(text.replace(":\n", ": "))]
    cue = _cue(question)
    found: list[float | None] = []
    for index, part in enumerate(parts):
        if not occur(part) or part.endswith("?") or SUPPOSES.search(part):
            continue
        bare = BARE.match(part) if index in (0, len(parts) - 1) else None
        found += [value(bare["number"])] if bare else _results(part, cue, alone=len(parts) == 1)
    if found or steps or not parts:
        return found[-1] if found else None
    last = _chain(BRACKET.sub("()", parts[-1]))
    return last if last is not None else _only(parts, counted=COUNTED.search(question) is not None)


def _whole(sentence: str) -> str:
    """A sentence with `3/5` and `3 out of 5` as 3."""
    return OUT_OF.sub(r"\g<number>", sentence) if "/" in sentence or "out of" in sentence else sentence


def _cue(question: str) -> re.Pattern[str]:
    """Words for a result, and the words and initials of what a short question asks for."""
    parts = re.split(r"(?<=[.?!])\s+", question.strip())
    asked = CASE.split(([part for part in parts if part.endswith("?")] or parts)[-1])[0]
    words = re.findall(r"[\w-]{3,}", asked) if len(asked) < QUESTION else []
    words = [word for word in words if word.lower() not in UNASKED]
    initials = ["".join(word[0] for word in words)] if len(words) > 2 else []
    return re.compile(rf"\b(?:{'|'.join([RESULT, *map(re.escape, [*words, *initials])])})\b", re.I)


def _results(sentence: str, cue: re.Pattern[str], alone: bool) -> list[float | None]:
    """What a sentence states as the result: nothing, one number, or None for two at once."""
    general = not alone and GENERAL.match(sentence) is not None
    for tie in cue.finditer(sentence):
        before = sentence[max(0, tie.start() - REACH) : tie.start()]
        if OTHER.search(before[-20:]):
            continue
        if found := _tied(sentence[tie.end() : tie.end() + 4 * REACH], general):
            return found
        if backward := BACKWARD.search(before):
            return [value(backward["number"])]
    tally = TALLY.search(sentence)
    return [value(tally["one"] or tally["two"])] if tally else []


def _tied(rest: str, general: bool) -> list[float | None]:
    """The result that `rest`, the text behind a cue, ties to it; of a general remark, none by `of`."""
    rest = BRACKET.sub("()", rest)
    chain = _chain(BREAK.split(rest)[0])
    if chain is not None:
        return [chain]
    direct = DIRECT.match(rest)
    for match in [*([direct] if direct else []), *LINK.finditer(rest[:REACH])]:
        before, after = rest[: match.start("number")], rest[match.end("number") :]
        if BEFORE_NO_RESULT.search(before) or AFTER_NO_RESULT.match(after) or OPERATOR.match(after):
            continue
        if not (general and OF.search(before)) and ":" not in rest[: match.start()]:
            return [None if TWO.match(after) else value(match["number"])]
    return []


def _chain(text: str) -> float | None:
    """The number behind the last equals sign, where no operator follows it."""
    matches = [match for match in EQUALS.finditer(text) if not OPERATOR.match(text[match.end() :][:REACH])]
    return value(matches[-1]["number"]) if matches else None


def _only(parts: list[str], counted: bool) -> float | None:
    """The only number of an answer that ties it to something or is brief; no percentage where points are `counted`."""
    if len(set(RUN_OF_DIGITS.findall(" ".join(parts)))) > MANY:
        return None
    values, brief = set(), sum(len(part.split()) for part in parts) <= BRIEF
    for part in filter(occur, parts):
        linked = {match.start("number") for match in LINK.finditer(part)}
        for match in re.finditer(NUMBER, part):
            before, after = part[max(0, match.start() - REACH) : match.start()], part[match.end() :][:REACH]
            if BEFORE_NO_RESULT.search(before) or OTHER.search(before) or len(values) > 1:
                return None
            if AFTER_NO_RESULT.match(after) or TWO.match(after):
                return None
            remark = (counted and after.lstrip().startswith("%")) or (OF.search(before) and GENERAL.match(part))
            if not match[0].isalpha() and not remark:
                values.add(value(match[0]) if brief or match.start() in linked else None)
    return values.pop() if len(values) == 1 else None
