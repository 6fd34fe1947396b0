"""Numbers as answers write them: digits or words, signs, decimals, thousands separators, powers of ten."""

import math
import re

SMALL = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
SMALL |= {"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16}
SMALL |= {"seventeen": 17, "eighteen": 18, "nineteen": 19}
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
LONGEST_FIRST = "|".join(sorted(SMALL, key=len, reverse=True))
WORDS = rf"(?:(?:{'|'.join(TENS)})(?:[ -](?:{'|'.join(list(SMALL)[1:10])}))?|{LONGEST_FIRST})\b"
DIGITS = r"(?:\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?(?![.,]?\d)|\d+(?:[.,]\d+)?(?![.,]?\d)|\.\d+)"
IN_NAME = r"(?!-?[A-Z]|(?:st|nd|rd|th)\b|-[a-z]|\w*\d)"  # 4T, 2nd, 30-day
POWER = r"(?:\s?[×x]\s?10\^\(?[+-]?\d{1,3}\)?)?"
NUMBER = rf"(?<![\w.,])(?<![A-Za-z]-)(?:(?:minus|negative)\s|[+–-])?(?:{DIGITS}{IN_NAME}{POWER}|(?i:{WORDS}))"
DIGIT = re.compile(r"\d")
LEADING = re.compile(NUMBER)
SIGN = re.compile(r"(?:[+–-]|minus\s|negative\s)")
TIMES_TEN = re.compile(r"\s?[×x]\s?10\^")
THOUSANDS = re.compile(r"[, ](?=\d{3}(?!\d))")


def occur(text: str) -> bool:
    """Whether there may be a number in a text; quick, and never wrong when it says no."""
    if DIGIT.search(text):
        return True
    text = text.casefold()
    return any(word in text for word in SMALL) or any(word in text for word in TENS)


def value(text: str) -> float:
    """The value of a text that matches NUMBER; a comma before one or two digits is a decimal one."""
    text = text.strip().lower()
    sign = SIGN.match(text)
    factor = -1.0 if sign and sign[0] != "+" else 1.0
    text = text[sign.end() :] if sign else text
    if text[0].isalpha():
        return factor * sum(SMALL.get(word, TENS.get(word, 0)) for word in re.split(r"[ -]", text))
    mantissa, _, power = TIMES_TEN.sub("e", text).partition("e")
    return factor * float(f"{THOUSANDS.sub('', mantissa).replace(',', '.')}e{power.strip('()') or 0}")


def read(text: str) -> float | None:
    """The value of a text that is a number and perhaps a unit; None where it is none."""
    match = LEADING.match(text.strip())
    return value(match[0]) if match else None


def equal(one: float, other: float, exact: bool, relative_tolerance: float) -> bool:
    """Whether two numbers are the same: equal where `exact`, within the tolerance of `other` otherwise."""
    if exact or math.isinf(one) or math.isinf(other):
        return one == other
    return abs(one - other) <= relative_tolerance * abs(other)
