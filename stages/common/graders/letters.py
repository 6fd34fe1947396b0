"""Statements of an option's letter.

A letter is stated after a cue (`the answer is C`, `Answer: C`, `\\boxed{C}`, `I choose C`), after a turn (`no, wait, C.`),
by being called right (`C is correct`), or at the head of a line (`C) Aspirin`). It is not where it is an article (`A
patient`), an initial (`E. coli`), part of a name (`vitamin C`, `C-reactive`, `B cells`), ruled out, asked about, supposed
(`if ..., the answer would be B`), or no option.
"""

import re

from stages.common.graders import texts
from stages.common.graders.texts import Statement

KINDS_OF = (
    r"vitamins?|hepatitis|types?|groups?|stage|class|grade|factor|influenza|protein|streptococcus|strep|phase|child|"
    r"part|figure|table|step|zone|complex|apolipoprotein|immunoglobulin|ig|region|level|box|point|patients?|drug"
)
NAMED = re.compile(rf"\b(?:{KINDS_OF})[\s-]\(?$", re.I)
FILL = (
    r"(?:(?:therefore|thus|then|likely|probably|most|definitely|clearly|indeed|actually|still|now|in fact|option|number|"
    r"choice|letter|answer|boxed|the)\b[\s:,]*+|[(:'-]\s?){0,8}+"
)
LETTER = r"(?P<letter>[A-Za-z])(?![\w'-]*\w)"
CUE = re.compile(
    rf"(?:(?<![a-z])(?:ans(?:wer)?|option|choice|conclusion|solution|remains|boxed)\b\.?[^.\n?!;]{{0,80}}?(?:\b(?:is|are|be)\b|[:=→]|\s[–—-]\s)|"
    rf"答案[是:]|\b(?:ans\.?|(?:answer|choose|pick|select|go with|going with|leaves|leaving|leans? towards?|opt for)\b))\s?{FILL}{LETTER}",
    re.I,
)
TURN = re.compile(
    r"\b(?i:so|hence|thus|therefore|but|actually|wait|definitely|rather|it's|it is|it must be|that is|no),?\s"
    r"(?:it's |it is )?(?:option |choice )?\(?(?P<letter>[A-Z])\)?(?=\s?(?:[.,;!)\n]|$))"
)
RIGHT = re.compile(
    r"\b(?:is|was|seems|looks|remains|must be|would be|has to be)\s(?:clearly |therefore |indeed |most likely |likely |"
    r"probably |definitely |thus )?(?:the )?(?:correct|right|best|better|answer|what i would|most (?:likely|appropriate))\b",
    re.I,
)
LAST = re.compile(r"(?:^|(?<!\b[A-Z])[.!?\n] ?)\(?(?P<letter>[A-Z])\)?[.!]?$")
CLAUSE = re.compile(r"(?<!\b[A-Z])\.\s|[?!;\n]")
SUBJECT = re.compile(
    r"(?:^|[,:(]|\b(?:option|choice|letter|answer|that|so|thus|therefore|hence|and|or|while|whereas|but|only))\s?\(?"
    r"(?P<letter>[A-Z])\b(?=\s(?:is|was|seems|looks|remains|must|would|has)\b|\s?[).:,(/]|\s(?:and|or)\b|\s?$)",
    re.I,
)
LINE = re.compile(
    r"^[ >•·+-]{0,6}(?:(?:final )?(?:answer|option|choice) )?\(?(?P<letter>[A-Za-z])"
    r"(?:(?P<mark> ?[).:]+| [—–-])(?P<rest>.*)| ?)$",
    re.M | re.I,
)
VERDICT = re.compile(r"[—–:(→-]\s?(?:this is )?(?:the )?(?:correct|right|best|true)\b", re.I)
JOINED = re.compile(r"^\)?(?:,? \(?[A-Z]\)?){0,6},?\s?(?:\bor\b|\band\b|[/&])\s?(?:option |choice )?\(?([A-Z])\b(?!['-]| is\b)")
GOES_ON = re.compile(
    r"^\)?\s?(?:$|[.,;:!)\n—–-]|(?:because|since|as|is|and|given|which|for|due|based|in|with|though|over|rather|but|not)\b)"
)
NOUN = re.compile(r"^\s(?:cells?|lymphocytes?|antigens?|virus|fibers?|waves?|streptococc|symptoms|vitamins?)", re.I)
CALLED_WRONG = re.compile(r"^[^.\n;]{0,12}\b(?:wrong|incorrect)\b", re.I)
INITIAL = re.compile(r"^\.\s?(?!(?:the|because|this|it|since)\b)[a-z]")
ENDS = re.compile(r"^\s?(?:[.,;!)\n]|$)")


def statements(text: str, options: dict[str, str]) -> list[Statement]:
    """Every statement of a letter in a plain text, in no order."""
    found = [Statement(at, letter) for at, _, letter in _heads(text, options)]
    for pattern in (CUE, TURN, LAST):
        for match in pattern.finditer(text):
            found += _stated(text, match, options)
    for match in RIGHT.finditer(text):
        found += _called_right(text, match.start(), options)
    return found


def without_lists(text: str, options: dict[str, str]) -> str:
    """The text, its runs of lines A, B, C ... blanked where they give no verdict."""
    heads = _heads(text, options)
    for index, (at, end, letter) in enumerate(heads):
        around = [heads[index - 1][2] if index else "", letter, heads[index + 1][2] if index + 1 < len(heads) else ""]
        listed = any(one and two and ord(two) - ord(one) == 1 for one, two in zip(around, around[1:], strict=False))
        if listed and not VERDICT.search(text[at:end]):
            text = text[:at] + " " * (end - at) + text[end:]
    return text


def bracketed(text: str, options: dict[str, str]) -> set[str]:
    """The letters that stand in brackets."""
    return {letter for letter in re.findall(r"\(([A-Z])\)", text) if letter in options}


def _heads(text: str, options: dict[str, str]) -> list[tuple[int, int, str]]:
    """Lines that lead with an option's letter: start of the letter, end of the line, letter."""
    found = []
    for match in LINE.finditer(text):
        letter, rest = match["letter"].upper(), (match["rest"] or "").strip()
        mark = (match["mark"] or "").strip()
        if letter not in options or re.match(r"\(?[A-Z][.):]", rest) or (match["letter"].islower() and rest):
            continue
        if not rest or not mark.startswith(".") or rest[0].isupper() or texts.starts_with(rest, options[letter]):
            found.append((match.start("letter"), match.end(), letter))
    return found


def _stated(text: str, match: re.Match[str], options: dict[str, str]) -> list[Statement]:
    letter, at, end = match["letter"], match.start("letter"), match.end("letter")
    upper, after = letter.upper(), text[end : end + 120]
    if upper not in options or NAMED.search(text[max(0, at - 20) : at]) or NOUN.match(after) or CALLED_WRONG.match(after):
        return []
    if texts.asked(after) or texts.supposed(text, at) or texts.starts_longer(text[at : at + 200], options):
        return []
    joined = JOINED.match(after)
    if joined and joined[1] in options:
        return [Statement(at, None)]
    if not texts.starts_with(after.lstrip(" ).:—–-"), options[upper]):
        article = (letter.islower() and not ENDS.match(after)) or (letter == "A" and not GOES_ON.match(after))
        if article or INITIAL.match(after):
            return []
    return [Statement(at, upper)]


def _called_right(text: str, end: int, options: dict[str, str]) -> list[Statement]:
    clause = CLAUSE.split(text[max(0, end - 90) : end])[-1]
    start = end - len(clause)
    subjects = [match for match in SUBJECT.finditer(clause) if match["letter"] in options]
    subjects = [match for match in subjects if not re.search(r"\b(?:not|than|unlike)\W*$", clause[: match.start("letter")])]
    if not subjects or texts.asked(text[end : end + 60]) or texts.supposed(text, end):
        return []
    last = subjects[-1]
    two = len(subjects) > 1 and re.fullmatch(r"[\s,()]*(?:and|or)[\s,()]*", clause[subjects[-2].end() : last.start("letter")])
    return [Statement(start + last.start("letter"), None if two else last["letter"])]
