"""Numbers: the answer is the last result that is stated, not a number that occurs on the way.

A result is a number tied to what was asked or to a word for a result (`the score is 3`, `Total: 3`, `\\boxed{3}`), the
end of a chain of equations (`2 + 1 = 3`), a line that is a number, or the only number of the answer. Digits in names
(CURB-65, ABCD2), list numbers, bounds (`at least 3`, `3 or more`), general remarks (`A score of 3 means ...`), running
totals (`+1 = 2`) and numbers in brackets behind a result are none. A range or two results at once state none. `3/5` and
`3 out of 5` are 3. Signs, decimals, thousands separators, powers of ten, units and words up to ninety-nine are read.
Integers must be equal; other numbers may differ by a relative tolerance.
"""

import math
import re

from stages.common.graders.reading import SUPPOSES, plain, sentences

ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
SMALL = {word: value for value, word in enumerate([*ONES.split(), "eighteen", "nineteen"])}
TENS = {word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
WORDS = rf"(?:(?:{'|'.join(TENS)})(?:[ -](?:{'|'.join(list(SMALL)[1:10])}))?|{'|'.join(sorted(SMALL, key=len, reverse=True))})\b"
DIGITS = r"\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?(?![.,]?\d)|\d+(?:[.,]\d+)?(?![.,]?\d)|\.\d+"
NUMBER = (
    rf"(?<![\w.,])(?<![A-Za-z]-)(?:(?:minus|negative)\s+|[+–-])?(?:(?:{DIGITS})(?!-?[A-Z]|(?:st|nd|rd|th)\b|-[a-z]|\w*\d)"
    rf"(?:\s?[×x*]\s?10\^\(?[+-]?\d{{1,3}}\)?)?|{WORDS})"
)
ANY = re.compile(NUMBER, re.I)
RESULT = (
    r"scores?|total|sum|answer|result|index|scale|value|boxed|final|conclusion|bmi|gcs|anion gap|"
    r"(?<!cell )(?<!blood )(?<!platelet )(?<!leukocyte )count|number of (?:\w+ ){1,3}(?:met|failed|present)"
)
FILL = (
    r"(?:(?:about|approximately|around|roughly|only|now|therefore|thus|then|exactly|likely|probably|a|an|the|total|of|"
    r"score|points|equal to|is|be)\b\s*|[:≈~=(]\s*)*"
)
LINK = re.compile(
    rf"(?:\b(?:is|was|are|be|equals?|of|but|makes?|gives?|becomes?|as|(?:comes|adds up|amounts|sums|corrected|rounds|rises) to)"
    rf"\b|'s\b|[=≈~:→])\s*{FILL}(?P<number>{NUMBER})",
    re.I,
)
DIRECT = re.compile(rf"^(?:[\s:(]|-\s)*+{FILL}(?P<number>{NUMBER})", re.I)
EQUALS = re.compile(rf"[=≈]\s*(?P<number>{NUMBER})", re.I)
BRACKET = re.compile(r"\([^()]*\)")
OUT_OF = re.compile(rf"(?P<number>{NUMBER})\s*(?:/|out of)\s*\d+(?![\d.]*\s*[=)^])(?!\.\d)", re.I)
RUNNING = re.compile(r"(?<![\d)]\s)(?<![\w)])[+-]\s?\d+(?:\.\d+)?\s*=(?:\s*-?\d+(?:\.\d+)?)?")
MARKER = re.compile(r"^[ \t]*(?:[-•]\s*)?\d{1,2}[.)][ \t]+(?=\S)", re.M)
BOUND_BEFORE = re.compile(
    r"(?:\b(?:at least|at most|above|below|over|under|less than|more than|greater than|lower than|up to|not|within)|[<>≥≤])\s*$",
    re.I,
)
BOUND_AFTER = re.compile(r"^\s*(?:points? )?(?:or (?:more|less|higher|lower|above|below|greater|over)\b|and above\b|\+)", re.I)
TWO = re.compile(rf"^\s*(?:points?\s*)?(?:\?\s*)?(?:or|to|-|–|—)\s*(?:{NUMBER})", re.I)
OPERATOR = re.compile(r"^\s*(?:[a-zA-Z/]{1,8}\s*)?(?:[+×*÷^/]|-\s)\s*[\d(]")
GENERAL = re.compile(r"^\W*(?:an?|any|scores?|patients?|those|each|every)\b", re.I)
BARE = re.compile(rf"^(?:[-•+] )?(?:(?:so|thus|therefore|yes|no),? )?(?:(?:it|that|this)(?:'s| is| makes| gives) )?[^\w+–-]*(?P<number>{NUMBER})\s*(?:%|points?|[a-zµ°/^0-9]+)?\s*(?:\(.*\))?\W*$", re.I)
TALLY = re.compile(
    rf"\b(?:he|she|they|patient|man|woman)\s(?:gets|has|have|earns|receives)\s(?P<one>{NUMBER})\spoints?\b(?!\sfor\b)|"
    rf"(?P<two>{NUMBER})(?:\spoints?)?\s(?:in total|altogether|in all)\b",
    re.I,
)
OTHER = re.compile(r"\b(?:maximum|maximal|highest|possible|minimum|lowest|normal|average|typical|standard|cut-?off)\b", re.I)
PART = re.compile(r"^\s?(?:points? )?for\b[^.]*\d")
BACKWARD = re.compile(rf"(?P<number>{NUMBER})[^.;=]{{0,30}}\b(?:is|was|as) (?:\w+ ){{0,3}}$", re.I)
COUNTED = re.compile(r"\b(?:score|count|points|scale|criteria|total)\b", re.I)
OF = re.compile(r"\bof\s?$", re.I)
BREAK = re.compile(r"[;]|,(?!\d{3}\b)|\b(?:with|because|since|where|which)\b")
ASK, REACH, BRIEF = 90, 80, 12  # characters of a short question and of a sentence's reach, words of a brief answer
STOP = set("what is the his her their its a an of for this patient give work out calculate state find so in score".split())


def stated(text: str, question: str = "") -> float | None:
    """The number that `text` states as its result, by the rule above."""
    text = MARKER.sub("", RUNNING.sub(" ", plain(text)))
    parts = sentences(OUT_OF.sub(r"\g<number>", text.replace(":\n", ": ")))
    cue = _cue(question)
    found: list[float | None] = []
    for index, sentence in enumerate(parts):
        if sentence.endswith("?") or SUPPOSES.search(sentence):
            continue
        bare = BARE.match(sentence) if index in (0, len(parts) - 1) else None
        if bare:
            found.append(value(bare["number"]))
        else:
            found += _result(sentence, cue, alone=len(parts) == 1)
    if found:
        return found[-1]
    last = _chain(BRACKET.sub("()", parts[-1])) if parts else None
    return last if last is not None else _only(parts, COUNTED.search(question) is not None)


def _cue(question: str) -> re.Pattern[str]:
    """Words for a result, and the words of what the question asks for where it asks in a short sentence."""
    asked = re.split(r"[.?!]\s+", question.strip())[-1]
    words = re.findall(r"[\w-]{3,}", asked) if len(asked) < ASK else []
    return re.compile(rf"\b(?:{'|'.join([RESULT, *(re.escape(word) for word in words if word.lower() not in STOP)])})\b", re.I)


def _result(sentence: str, cue: re.Pattern[str], alone: bool) -> list[float | None]:
    """The result that a sentence states: nothing, one number, or None for two at once."""
    general = not alone and GENERAL.match(sentence) is not None
    for tie in cue.finditer(sentence):
        before = sentence[max(0, tie.start() - REACH) : tie.start()]
        if OTHER.search(before[-20:]):
            continue
        if found := _tied(sentence[tie.end() : tie.end() + 4 * REACH], general) or _reversed(before):
            return found
    tally = TALLY.search(sentence)
    return [value(tally["one"] or tally["two"])] if tally else []


def _tied(rest: str, general: bool) -> list[float | None]:
    """The result that the text behind a cue ties to it; of a general remark, none by `of`."""
    rest = BRACKET.sub("()", rest)
    chain = _chain(BREAK.split(rest)[0])
    if chain is not None:
        return [chain]
    direct = DIRECT.match(rest)
    for match in [*([direct] if direct else []), *LINK.finditer(rest[:REACH])]:
        before, after = rest[: match.start("number")], rest[match.end("number") :]
        if BOUND_BEFORE.search(before) or BOUND_AFTER.match(after) or OPERATOR.match(after) or PART.match(after):
            continue
        if not (general and OF.search(before)) and rest.count(":", 0, match.start()) == 0:
            return [None if TWO.match(after) else value(match["number"])]
    return []


def _reversed(before: str) -> list[float | None]:
    """The result in front of a cue, as in `3 is the score`; `before` is what stands in front of the cue."""
    match = BACKWARD.search(before[-REACH:])
    return [value(match["number"])] if match else []


def _chain(text: str) -> float | None:
    """The number behind the last equals sign, where no operator follows it."""
    matches = [match for match in EQUALS.finditer(text) if not OPERATOR.match(text[match.end() :][:REACH])]
    return value(matches[-1]["number"]) if matches else None


def _only(parts: list[str], counted: bool) -> float | None:
    """The only number of an answer, if it has one and ties it to something or is brief."""
    values, brief = set(), sum(len(part.split()) for part in parts) <= BRIEF
    for part in parts:
        linked = {match.start("number") for match in LINK.finditer(part)}
        for match in ANY.finditer(part):
            before, after = part[max(0, match.start() - REACH) : match.start()], part[match.end() :][:REACH]
            if any(sign.search(before) for sign in (BOUND_BEFORE, OTHER)) or BOUND_AFTER.match(after) or TWO.match(after):
                return None
            if match[0].isalpha() or (counted and after.lstrip().startswith("%")) or (OF.search(before) and GENERAL.match(part)):
                continue
            values.add(value(match[0]) if brief or match.start() in linked else None)
    return values.pop() if len(values) == 1 else None


def value(text: str) -> float:
    """The value of a matched number, written in digits or in words."""
    text = text.strip().lower().replace("–", "-")
    sign = -1.0 if re.match(r"-|minus|negative", text) else 1.0
    text = re.sub(r"^(?:[+-]|minus\s+|negative\s+)", "", text)
    if text[0].isalpha():
        return sign * sum(SMALL.get(word, TENS.get(word, 0)) for word in re.split(r"[ -]", text))
    mantissa, _, power = re.sub(r"[()\s]", "", re.sub(r"\s?[×x*]\s?10\^", "e", text)).partition("e")
    mantissa = re.sub(r",(?=\d{3}(?!\d))", "", mantissa).replace(",", ".")
    return sign * float(f"{mantissa}e{power or 0}")


def equal(one: float, other: float, exact: bool, relative_tolerance: float) -> bool:
    """Whether two numbers are the same: equal where `exact`, within the tolerance of `other` otherwise."""
    if exact or math.isinf(one) or math.isinf(other):
        return one == other
    return abs(one - other) <= relative_tolerance * abs(other)
