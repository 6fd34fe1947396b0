"""Numbers as answers write them: digits or words, signs, decimals, separators of thousands, powers of ten, units."""

import math
import re
from typing import NamedTuple

from stages.evaluate.graders.plain_text import ASIAN
from stages.evaluate.graders.vocabulary import WORDS, any_of

SMALL = {word: number for words in WORDS["numbers"].values() for number, word in enumerate(words.split("|"))}
del SMALL["-"]
TENS = {word: 10 * number for number, word in enumerate(WORDS["tens"]["en"].split("|"), 2)}
HAN = "零一二三四五六七八九十"
IN_WORDS = rf"(?:(?:{'|'.join(TENS)})(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?|{'|'.join(SMALL)})\b"
DIGITS = r"(?:\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?(?![.,]?\d)|\d+(?:[.,]\d+)?(?![.,]?\d)|\.\d+)"
IN_NAME = r"(?!-?[A-Z](?![a-zA-Z]{0,4}\b/)|(?:st|nd|rd|th)\b|-[a-z]|\w*\d)"  # 4T, 2nd, 30-day
ONE_OF = r"(?!one (?!(?:points?|and|half|or|to|of|in|total)\b)[a-z])"  # one leg
NEGATIVE, POWER = r"(?:minus|negative|menos|moins)\s", r"10\^\(?[+-]?\d{1,3}\)?"
NUMBER = (
    rf"(?<![\w.,^])(?<![A-Za-z]-)(?:{NEGATIVE}|[+–-])?(?:{POWER}|{DIGITS}\s?[×x]\s?{POWER}|"
    rf"\d(?:\.\d+)?[eE]\d{{1,2}}\b|{DIGITS}{IN_NAME}|{ONE_OF}(?i:{IN_WORDS}))"
)
DIGIT, LEADING, UNIT = re.compile(r"\d"), re.compile(NUMBER), re.compile(r"\s?([A-Za-zμ%]+)")
SIGN = re.compile(rf"[+–-]|{NEGATIVE}")
TIMES_TEN, THOUSANDS = re.compile(r"\s?[×x]\s?10\^"), re.compile(r"[, ](?=\d{3}(?!\d))")
PERCENT = re.compile(rf"\s?(?:of a )?{any_of('percent')}", re.I)
HALVES = re.compile(
    rf"\b(?P<whole>\d+|{IN_WORDS})(?:[ -]and[ -](?:an?|one)[ -]half\b| 1/2(?!\d))|"
    r"\b(?:one |an? )?half(?:(?: of)? an? (?=\w)|(?: of)?(?: an?)?\s?(?=%|point))",
    re.I,
)
FRACTION = re.compile(r"(?<!\d)\(?(\d{1,6})\)?\s?/\s?\(?(\d{1,6})\)?\s?(?=%)")
IN_UNIT = rf"({NUMBER})(?:\s?([A-Za-zμ]{{1,5}}|%))?"
BOTH_WAYS = re.compile(rf"{IN_UNIT},? (?:or|that is,?|=) {IN_UNIT}(?![\d.]*\w)")
CELLS = re.compile(
    r"(?:(?<=\d)\s?[×x]\s?10\^\(?|(?<=\d)[eE])(3|6|9|12)\)?(?=\s?(?:/|per )\s?(?:[mcμ]?[lL]\b|lit(?:er|re)|mm))"
)
POWERS = {"thousands": 1e3, "millions": 1e6, "billions": 1e9, "trillions": 1e12}  # of cells, in a unit of volume
UNIT_POWER = re.compile(r"(?<=[A-Za-zμ])(?<![\s(][A-Z])\^\(?-?\d\)?")
PER_MANY = re.compile(r"(?<=\d) per 1(?:0{2,}|0{0,2},000(?:,000)?)\b")
PER = re.compile(
    r"(?<=\d)(?P<unit>\s?[A-Za-zμ%°]{0,8})"
    r"(?:\s?(?:/|per)\s?(?:1[.,]73 ?|10+ ?|100,000 )?[A-Za-zμ]+(?:\^?\(?-?\d\)?)?(?![\d(])){1,3}"
)
MANY = {"k": 1e3, "thousand": 1e3, "million": 1e6, "billion": 1e9, "万": 1e4, "亿": 1e8}
TIMES_MANY = re.compile(rf"\b(\d+(?:\.\d+)?)\s?({'|'.join(MANY)})(?:\b|(?=\s?{ASIAN}))", re.I)
ADDENDS = re.compile(
    rf"\b(?:adding|(?:the )?sum of) {NUMBER}(?:(?:,? and|,| plus) {NUMBER}){{1,9}}(?: (?:up|together))?|"
    rf"{NUMBER}(?:(?:,? and|,) {NUMBER}){{1,9}} (?:add up|together|sum up)\b",
    re.I,
)
OUT_OF = re.compile(
    rf"(?P<number>{NUMBER})(?: points?)?\s?"
    r"(?:/|von|sur|de|из|(?:out )?of(?: an?| the| a total of)?(?: possible)?(?: max(?:imum|\.)?(?: of)?)?)\s?"
    rf"(?P<of>{NUMBER})(?!\d|[.,]\d|\s?[=)^])(?: possible| maximum| Punkten)?"
)
OF = re.compile(
    rf"\b(?:of (?:the )?{NUMBER} (?:possible )?(?:criteria|points|items|components),?|(?<=is )the maximum(?: of|,|:)) "
    rf"(?={NUMBER})",
    re.I,
)
ROMANS = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"]
ROMAN = re.compile(r"(?:(?<=[=:] )|(?<=\bis )|^)(?:I{2,3}|IV|VI{0,3}|IX)(?=\W*$)")
HAN_NUMBER = re.compile(rf"([{HAN}两])(?=\s?(?:分|点|个|天|周|$|[.,;\n]))")
PREFIXES = {"": 1.0, "k": 1e3, "d": 1e-1, "c": 1e-2, "m": 1e-3, "μ": 1e-6, "mc": 1e-6, "u": 1e-6, "n": 1e-9}
UNITS = {prefix + base: (base, size) for base in ("g", "l", "mol", "m") for prefix, size in PREFIXES.items()}
UNITS |= {name: (base, size) for base, names in WORDS["units"].items() for name, size in names.items()}
ASKED_IN = re.compile(r"\b(?:in|as|[Hh]ow many) (?:an? )?([A-Za-zμ%]+)")


class Reading(NamedTuple):
    """A number and the unit behind it, as written."""

    value: float
    unit: str = ""


def spelled(text: str) -> str:
    """A plain text with fractions, halves and Han numerals in digits, `percent` as a sign, and units without `per`."""
    if not text.isascii():
        text = HAN_NUMBER.sub(lambda match: f" {HAN.index(match[1].replace('两', '二'))} ", text)
    text = ROMAN.sub(lambda match: str(ROMANS.index(match[0])), text)
    text = TIMES_MANY.sub(lambda match: f"{float(match[1]) * MANY[match[2].lower()]:.15g}", text)
    text = HALVES.sub(lambda match: f"{value(match['whole']) if match['whole'] else 0:g}.5 ", PERCENT.sub("%", text))
    text = ADDENDS.sub("the total", text)
    text = BOTH_WAYS.sub(_once, text)
    text = CELLS.sub(lambda match: f" {[*POWERS][int(match[1]) // 3 - 1]}", text)
    text = FRACTION.sub(lambda match: f"{int(match[1]) / (int(match[2]) or 1):g}", text)
    return UNIT_POWER.sub("", PER.sub(r"\g<unit>", PER_MANY.sub("", text))) if DIGIT.search(text) else text


def _once(match: re.Match[str]) -> str:
    """A number that is written in two units, in one of them: in percent, or the first."""
    one, other = (Reading(value(match[at]), match[at + 1] or "") for at in (1, 3))
    sizes = [(("", 0.01) if each.unit == "%" else _unit(each.unit) or (each.unit, 1.0)) for each in (one, other)]
    alike = sizes[0][0] == sizes[1][0] and math.isclose(one.value * sizes[0][1], other.value * sizes[1][1])
    kept = other if other.unit == "%" else one
    return f"{kept.value:.15g} {kept.unit}".strip() if alike and kept.unit else match[0]


def parts(text: str, share: bool) -> str:
    """A text with `3 of 5` as 3, or as 0.6 where a `share` is asked; `118/72` stays."""

    def part(match: re.Match[str]) -> str:
        number, whole = value(match["number"]), value(match["of"])
        return (
            match[0] if not 0 <= number <= whole or not whole else f"{number / whole:g}" if share else match["number"]
        )

    return OUT_OF.sub(part, OF.sub("", text))


def value(text: str) -> float:
    """The value of a text that matches NUMBER; a comma before one or two digits is a decimal one."""
    text = text.strip().lower()
    sign = SIGN.match(text)
    factor = -1.0 if sign and sign[0] != "+" else 1.0
    text = text[sign.end() :] if sign else text
    if text[0].isalpha():
        return factor * sum(SMALL.get(word, TENS.get(word, 0)) for word in re.split(r"[ -]", text))
    text = f"1×{text}" if text.startswith("10^") else text
    mantissa, _, power = TIMES_TEN.sub("e", text).partition("e")
    return factor * float(f"{THOUSANDS.sub('', mantissa).replace(',', '.')}e{power.strip('()') or 0}")


def reading(text: str, start: int, end: int) -> Reading:
    """The number at `text[start:end]` and its unit."""
    unit = UNIT.match(text, end)
    return Reading(value(text[start:end]), unit[1] if unit else "")


def truth(text: str) -> Reading | None:
    """The number that a text starts with, and its unit; None where it starts with none."""
    match = LEADING.match(text.strip())
    return reading(text.strip(), *match.span()) if match else None


def apart(one: Reading, option: Reading) -> float:
    """How far a number is from that of an option, inf where rounding does not tell; a share is also its percentage."""
    digits = min(len(f"{each:g}".partition(".")[2]) for each in (one.value, option.value))
    sizes = [one.value, one.value * 100] if option.unit == "%" and one.unit != "%" else [one.value]
    distance = min(abs(size - option.value) for size in sizes)
    return distance if distance <= 0.5 * 10**-digits + 1e-9 else math.inf


def same(one: Reading, truth: Reading, question: str, relative_tolerance: float) -> bool:
    """Whether two numbers are the same, in the unit asked for; integers exactly, others within the tolerance.

    A share is also its percentage (0.9 and 90 %), where the question or the answer's key is one.
    """
    given, wanted = unit_of(one), unit_of(truth) or asked_unit(question)
    known = [one.value]
    percent = truth.unit == "%" or "%" in spelled(question)
    if percent and one.unit != "%" and 0 < one.value <= 1:
        known.append(one.value * 100)
    elif one.unit == "%" and not percent and 0 < truth.value < 1:
        known.append(one.value / 100)
    elif given and wanted and given[0] == wanted[0]:
        known = [one.value * given[1] / wanted[1]]
    elif truth.unit and given and wanted:
        return False
    known += [one.value * POWERS[one.unit]] if one.unit in POWERS else []
    keys = [truth.value, *([truth.value * POWERS[truth.unit]] if truth.unit in POWERS else [])]
    return any(_equal(float(f"{found:.12g}"), key, relative_tolerance) for found in known for key in keys)


def asked_unit(question: str) -> tuple[str, float] | None:
    """The unit that a question asks for: its base, and its size in that."""
    return next(filter(None, map(_unit, ASKED_IN.findall(question))), None)


def unit_of(one: Reading) -> tuple[str, float] | None:
    """The unit of a reading, where it is known: its base, and its size in that."""
    return _unit(one.unit)


def _unit(word: str) -> tuple[str, float] | None:
    return UNITS.get(word) or UNITS.get(word.lower().removesuffix("s"))


def _equal(one: float, other: float, relative_tolerance: float) -> bool:
    if other.is_integer() or math.isinf(one) or math.isinf(other):
        return one == other
    return abs(one - other) <= relative_tolerance * abs(other)
