"""Statements of an option's letter.

A letter is stated after a cue (`the answer is C`, `Answer: C`, `\\boxed{C}`, `I choose C`), after a turn (`wait, C`),
by being called right (`C is correct`), at the head of a line (`C) Aspirin`), or as a last sentence of its own. It is
not where it is an article (`A patient`), an initial (`E. coli`), part of a name (`vitamin C`, `C-reactive`, `B cells`),
ruled out, asked about, supposed (`if ..., the answer would be B`), or no option.
"""

import re
from collections import deque
from itertools import pairwise

from stages.evaluate.graders import option_texts
from stages.evaluate.graders.option_texts import Statement

BEHIND, AHEAD, LAST = 110, 120, 300  # characters around a letter, and letters from the end, that are looked at
NEXT_LINE = 8  # characters at most between the end of a line and the letter that leads the next
LETTER = re.compile(r"[A-Za-z](?<!\w.)(?<!\w['-].)(?![\w'-]*\w)")
KINDS_OF = (
    r"vitamins?|hepatitis|types?|groups?|stage|class|grade|factor|influenza|protein|streptococcus|strep|phase|child|"
    r"part|figure|table|step|zone|complex|apolipoprotein|immunoglobulin|ig|region|level|box|point|patients?|drug"
)
NAMED = re.compile(rf"\b(?:{KINDS_OF})[\s-]\(?$", re.I)
NOUN = re.compile(r"\s(?:cells?|lymphocytes?|antigens?|virus|fibers?|waves?|streptococc|symptoms|vitamins?)", re.I)
INITIAL = re.compile(r"\.\s?(?!(?:the|because|this|it|since)\b)[a-z]")
FILL = (
    r"(?:(?:therefore|thus|then|likely|probably|most|definitely|clearly|indeed|actually|still|now|in fact|option|"
    r"number|choice|letter|answer|boxed|the)\b[\s:,]*|[(:'-]\s?){0,8}"
)
CUE = re.compile(
    r"(?:(?<![a-z])(?:ans(?:wer)?|option|choice|conclusion|solution|remains|boxed)\b\.?[^.\n?!;]{0,80}?"
    r"(?:\b(?:is|are|be)\b|[:=→]|\s[–—-]\s)|答案[是:]|\b(?:ans\.?|"
    r"(?:answer|choose|pick|select|go with|going with|leaves|leaving|leans? towards?|opt for)\b))"
    rf"\s?{FILL}$",
    re.I,
)
TURN = re.compile(
    r"\b(?:so|hence|thus|therefore|but|actually|wait|definitely|rather|it's|it is|it must be|that is|no),?\s"
    r"(?:it's |it is )?(?:option |choice )?\(?$",
    re.I,
)
SUBJECT = re.compile(
    r"(?:^|[.?!;\n,:(]\s?|"
    r"\b(?:option|choice|letter|answer|that|so|thus|therefore|hence|and|or|while|whereas|but|only)\s)\(?$",
    re.I,
)
RIGHT = re.compile(
    r"\)?[.:]?(?:\s(?!(?-i:[A-Z])\b)|[^\s.?!;\n]){0,80}?\s(?:is|was|seems|looks|remains|must be|would be|has to be)\s"
    r"(?:clearly |therefore |indeed |most likely |likely |probably |definitely |thus )?(?:the )?"
    r"(?:correct|right|best|better|answer|what i would|most (?:likely|appropriate))\b",
    re.I,
)
NOT = re.compile(r"\bnot\b", re.I)
ALONE = re.compile(r"(?:^|(?<!\b[A-Z])[.!?\n] ?)\(?$")
CALLED_WRONG = re.compile(r"[^.\n;]{0,12}\b(?:wrong|incorrect)\b", re.I)
JOINED = re.compile(
    r"\)?(?:,? \(?[A-Z]\)?){0,6},?\s?(?:\bor\b|\band\b|[/&])\s?(?:option |choice )?\(?([A-Z])\b(?!['-]| is\b)"
)
JOINED_BEFORE = re.compile(r"\b([A-Z])\)?,?\s(?:and|or)\s(?:option |choice )?\(?$")
ENDS = re.compile(r"\)?\s?(?:[.,;!)\n]|$)")
GOES_ON = re.compile(
    r"\)?\s?(?:$|[.,;:!)\n—–-]|"
    r"(?:because|since|as|is|and|given|which|for|due|based|in|with|though|over|rather|but|not)\b)"
)
LINE = re.compile(
    r"^[ >•·+-]{0,6}(?:(?:final )?(?:answer|option|choice) )?\(?(?P<letter>[A-Za-z])"
    r"(?:(?P<mark> ?[).:]+| [—–-])(?P<rest>.*)| ?)$",
    re.M | re.I,
)
ANOTHER = re.compile(r"(?:^|\s)\(?[A-Z][.):](?:\s|$)")
VERDICT = re.compile(r"[—–:(→-]\s?(?:this is )?(?:the )?(?:correct|right|best|true)\b", re.I)


def statements(text: str, options: dict[str, str]) -> list[Statement]:
    """Every statement of a letter in a plain text, in no order."""
    found = [Statement(at, letter) for at, _, letter in _heads(text, options)]
    for match in deque(LETTER.finditer(text), maxlen=LAST):
        upper, after = match[0].upper(), text[match.end() : match.end() + AHEAD]
        if upper in options and (match[0] == upper or ENDS.match(after)):
            before = text[max(0, match.start() - BEHIND) : match.start()]
            found += [Statement(match.start(), one) for one in _stated(match[0], before, after, options)]
    return found


def without_lists(text: str, options: dict[str, str]) -> str:
    """The text, its runs of lines A, B, C ... blanked where they give no verdict."""
    heads = _heads(text, options)
    for index, (at, end, _) in enumerate(heads):
        around = heads[max(0, index - 1) : index + 2]
        if any(_follows(one, two) for one, two in pairwise(around)) and not VERDICT.search(text[at:end]):
            text = text[:at] + " " * (end - at) + text[end:]
    return text


def _follows(one: tuple[int, int, str], two: tuple[int, int, str]) -> bool:
    """Whether a line's letter is the next after another's, or a later one on the next line."""
    step = ord(two[2]) - ord(one[2])
    return step == 1 or (step > 1 and two[0] - one[1] < NEXT_LINE)


def bracketed(text: str, options: dict[str, str]) -> set[str]:
    """The letters that stand in brackets."""
    return {letter for letter in re.findall(r"\(([A-Z])\)", text) if letter in options}


def _heads(text: str, options: dict[str, str]) -> list[tuple[int, int, str]]:
    """Lines that lead with an option's letter: start of the letter, end of the line, letter."""
    found = []
    for match in LINE.finditer(text):
        letter, rest = match["letter"].upper(), (match["rest"] or "").strip()
        mark = (match["mark"] or "").strip()
        if letter not in options or ANOTHER.search(rest) or (match["letter"].islower() and rest):
            continue
        if not rest or not mark.startswith(".") or rest[0].isupper() or option_texts.starts_with_any(rest, options):
            found.append((match.start("letter"), match.end(), letter))
    return found


def _cued(letter: str, before: str, after: str) -> bool:
    """Whether what stands before a letter, or behind it, makes it a statement."""
    if CUE.search(before):
        return True
    if letter.islower():
        return False
    if (ENDS.match(after) and TURN.search(before)) or (after in ("", ".", "!", ")", ").") and ALONE.search(before)):
        return True
    right = RIGHT.match(after) if SUBJECT.search(before) else None
    return right is not None and not NOT.search(right[0])


def _stated(letter: str, before: str, after: str, options: dict[str, str]) -> list[str | None]:
    """What a letter between two pieces of text states: nothing, itself, or None for two letters at once."""
    if not _cued(letter, before, after) or NAMED.search(before) or NOUN.match(after) or CALLED_WRONG.match(after):
        return []
    if (
        option_texts.asked(after)
        or option_texts.supposed(before)
        or option_texts.starts_longer(letter + after, options)
    ):
        return []
    joined = JOINED.match(after) or JOINED_BEFORE.search(before)
    if joined and joined[1] in options:
        return [None]
    if not option_texts.starts_with_any(after.lstrip(" ).:—–-"), options):
        article = (letter.islower() and not ENDS.match(after)) or (letter == "A" and not GOES_ON.match(after))
        if article or INITIAL.match(after):
            return []
    return [letter.upper()]
