"""Open questions: a match with the short answer where the row has one, overlap with the reference text otherwise. Weak.

Match: a yes or no, or a number, is read as of a choice or a number. Of other answers, all words (normalised: case,
accents, Greek letters, British spelling, plurals, number words, drug names; or an abbreviation) stand in one sentence
that states something, or four in five of them where it has five or more; none is rejected there, and a word that turns
the meaning (`no`, `increased`) stands by the same word as in the answer. What an answer states is its last line where
that is an answer line, else its first sentence and every later one that concludes; sentences that list possibilities
state nothing, nor does what stands before a self-correction. Overlap: ROUGE-L F1, right at or above a threshold.
Both are weak: exact match agrees with experts on 70 to 75 % of such answers (HuatuoGPT-o1, section on verifiers), knows
few synonyms, and ROUGE-L measures wording. They are labelled so wherever they show.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from stages.evaluate.graders import choice, number, numerals, vocabulary
from stages.evaluate.graders.mentions import CAPITALS, GENERIC, LAST, abbreviation, names
from stages.evaluate.graders.plain_text import ASIAN, fold, sentences
from stages.evaluate.graders.vocabulary import WORDS, same

GREEK = str.maketrans(
    {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "κ": "kappa", "λ": "lambda", "μ": "mu"}
)
STOP = re.compile(
    r"an?|the|of|in|on|at|to|for|with|and|by|is|are|be|was|were|this|that|its?|from|as|has|have|both|remains?|stays?|plus|der|die|la|le|y|et"
)
SPELLING = {r"'s\b": "", "sulph": "sulf", r"n't\b": " not", r"\bnon[ -]": "no "}
SPELLING |= {"no change": "unchanged", "[ao]e": "e", r"(?<=\w)our\b": "or"}
SPELLING |= {r"(?<=\w[tb])re\b": "er", r"(?<=[a-z])-(?=\d)": "", r"\b(?:not|without|absen(?:t|ce of)|neither)\b": "no"}
DRUG = re.compile(r"(?<=\w\win)[ae]$")  # aspirina, aspirine
BRACKET, ABBREVIATION = re.compile(r"\([^()]*\)"), re.compile(r"\(([A-Z0-9-]{2,8})\)")
TOKEN = re.compile(rf"\d+(?:[.,]\d+)*(?:\s?(?:[–-]|to)\s?\d+(?:[.,]\d+)*)?|{ASIAN}+|[↑↓]|(?:(?!{ASIAN})[^\W_])+")
YES_NO = {"A": "yes", "B": "no"}
WHOLE_NUMBER = re.compile(rf"{numerals.NUMBER}\s?[^\W\d_]*[%°]?[CF]?\.?")
DENIED = re.compile(
    r"(?:,\s?(?:and |but )?(?:no|rather than|unlike)\b|,\s?(?:而?不是|而非|并非)|虽然|尽管|"
    r"\b(?:while|although|though|whereas|unlike|obwohl|aunque|bien que)\b)[^,;]*",
    re.I,
)
SHORT, ITEM = re.compile(r"\b[A-Z]{3,6}\b"), re.compile(r"\n(?:[-•+]|\d[.)]) (?=(?:\S+ ?){1,5}(?:\n|$))")
NAMED_A = re.compile(rf"({vocabulary.any_of('named')}) A\b", re.I)
HYPHEN = re.compile(r"\b([A-Za-z]{1,20})-([a-z]{1,20})\b")
CLAUSE = re.compile(r"[,;:]|\b(?:and|but|with|while|whereas)\b")
DIRECTED = re.compile(rf"\b(?:{WORDS['same']['↑']}|{WORDS['same']['↓']})\b|[↑↓]", re.I)
TURNING = {"↑", "↓", "no", "normal"}
REFUSAL = re.compile(
    r"^\W*(?:i'?m (?:really )?sorry|sorry|i can(?:no|')t (?:help|answer|provide|give|assist)|as an ai\b|"
    r"i (?:do not|don't) know)",
    re.I,
)


class Word(NamedTuple):
    """A word as it is compared, and where it stands."""

    text: str
    start: int
    end: int


def refuses(text: str) -> bool:
    """Whether a plain text opens with a refusal."""
    return bool(REFUSAL.match(text))


def normalised(text: str) -> str:
    """The text in lower case, without accents, Greek letters, possessives and British spellings."""
    text = vocabulary.phrased(NAMED_A.sub(r"\1 lettera", fold(text))).casefold().translate(GREEK)
    for spelling, other in SPELLING.items():
        text = re.sub(spelling, other, text)
    return text


def words(text: str) -> list[Word]:
    """The words of a normalised text, in order, stop words left out."""
    found = []
    for match in TOKEN.finditer(text):
        word = str(numerals.SMALL.get(match[0], same(match[0])))
        if not STOP.fullmatch(word):
            word = word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] not in "sui" else DRUG.sub("", word)
            found.append(Word(word, *match.span()))
    return found


def matches(text: str, answer: str, question: str = "", relative_tolerance: float = 0.0) -> bool:
    """Whether a plain text states `answer`, by the rule above."""
    key = answer.strip(" .").casefold()
    if key in YES_NO.values():
        return YES_NO.get(choice.stated(text, YES_NO, question) or "") == key
    spelled = numerals.spelled(answer.strip())
    if WHOLE_NUMBER.fullmatch(spelled) and (found := number.stated(text, question, share="%" in spelled)):
        return numerals.same(found, numerals.truth(spelled), question, relative_tolerance)
    said = statements(text)
    for short in SHORT.findall(answer):  # `COPD`, written out
        later = "".join(rf"\w{{0,20}}?(?:\W{{1,2}}(?:of )?)?{letter}" for letter in short[1:])
        full = re.compile(rf"\b(?=\w+\W){short[0]}{later}\w*", re.I)
        said = [full.sub(short, sentence) for sentence in said]
    called = [BRACKET.sub(" ", answer), *names(answer), *ABBREVIATION.findall(answer)]
    short = abbreviation(called[0])
    called += [one for sentence in said for one in CAPITALS.findall(sentence) if short.fullmatch(one.casefold())]
    called.append(HYPHEN.sub(r"\1\2", answer))
    said = [HYPHEN.sub(lambda one: one[1] + one[2] if one[1] + one[2] in called[-1] else one[0], part) for part in said]
    read = {tuple(one.text for one in found): found for found in (words(normalised(name)) for name in called)}
    wanted = [found for found in read.values() if found] or [words(normalised(answer))]
    negative = bool(vocabulary.NEGATIVE_QUESTION.search(question))
    return any(_states(sentence, one, negative) for sentence in map(normalised, said) for one in wanted)


def statements(text: str) -> list[str]:
    """The sentences of a plain text that state something."""
    text = next((part for part in reversed(vocabulary.TURN.split(text)) if part.strip(" ,.:")), "")
    lines = [one.end() for one in vocabulary.ANSWER_LINE.finditer(text) if "\n" not in text[one.end() :].strip()]
    text = ITEM.sub(", ", text[lines[0] :] if lines else text)
    parts = sentences(text)
    later = [part for part in parts[1:][-LAST:] if not part.startswith("in ")]  # `...; in gout, the crystals are`
    parts = [_asserted(part) for part in [*parts[:1], *later] if not vocabulary.ASKED.search(part)]
    sure = [
        part for part in parts if part and (not vocabulary.PERHAPS.search(part) or vocabulary.CONCLUDES.search(part))
    ]
    concluding = [part for part in sure if vocabulary.CONCLUDES.search(part)]
    return sure[:1] + concluding if concluding else sure


def _asserted(sentence: str) -> str:
    """A sentence up to the clause that supposes."""
    supposed = vocabulary.SUPPOSED.search(sentence)
    return sentence if supposed is None else sentence[: max(0, sentence.rfind(",", 0, supposed.start()))]


def _states(sentence: str, answer: list[Word], negative: bool) -> bool:
    """Whether a sentence has the words of an answer, not rejected; a `negative` question asks for what is."""
    every = [word.text for word in answer]
    needed = [word for word in every if word not in GENERIC and word != "or"] or every
    sentence = DENIED.sub(lambda match: match[0] if DIRECTED.search(match[0]) else " " * len(match[0]), sentence)
    found = words(sentence)
    said = [word.text for word in found]
    runs = [at for at in range(len(said)) if said[at : at + len(needed)] == needed]
    near = found[runs[0] : runs[0] + len(needed)] if runs else found
    here = {word: one for word in needed for one in [_found(word, near)] if one}
    if not here or len(here) < (len(set(needed)) if len(needed) < 5 else 0.8 * len(set(needed))):
        return False
    if any(word not in here and (numerals.DIGIT.search(word) or word in TURNING) for word in needed):
        return False
    pairs = set(pairwise(said))
    if any(_letter(one) != _letter(two) and (one, two) not in pairs for one, two in pairwise(needed)):
        return False
    turned = [(one.text, two.text) for one, two in pairwise(answer) if one.text in TURNING and two.text not in TURNING]
    if every[-1] in TURNING:  # `TSH increased, T4 decreased`
        turned = [(two.text, one.text) for one, two in pairwise(answer) if two.text in TURNING]
    if any(word in here and _turn(sentence, found, word) not in (turning, "") for turning, word in turned):
        return False
    first, last = min(one.start for one in here.values()), max(one.end for one in here.values())
    if "or" not in every and any(one.text == "or" and first - 4 < one.start < last + 3 for one in found):
        return False
    if "no" in every:
        return True
    inside = any(one.text == "no" and first <= one.start < last for one in found)
    before = re.split(r"[.;:]|\bbut\b", sentence[max(0, first - 60) : first])[-1]
    return not (
        inside
        or vocabulary.NOT_BEFORE.search(before)
        or (not negative and vocabulary.WRONG_AFTER.match(sentence, last))
    )


def _found(word: str, found: list[Word]) -> Word | None:
    """A word among others; one of a script without blanks also within a longer run."""
    for one in found:
        if one.text == word:
            return one
        if word in one.text and re.match(ASIAN, word):
            start = one.start + one.text.index(word)
            return Word(word, start, start + len(word))
    return None


def _turn(sentence: str, found: list[Word], word: str) -> str:
    """The word that turns the meaning of a word: the nearest in front, else behind, in its own clause first."""
    at = next((index for index, one in enumerate(found) if one.text == word), 0)
    near = [one for one in [*found[max(0, at - 3) : at][::-1], *found[at + 1 : at + 4]] if one.text in TURNING]
    near.sort(key=lambda one: bool(CLAUSE.search(sentence, *sorted((one.end, found[at].start)))))
    return near[0].text if near else ""


def _letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha()
