"""Open questions: a match with the short answer where the row has one, overlap with the reference text otherwise. Weak.

Match: the words of the answer (normalised: case, accents, Greek letters, British spelling, plurals, number words) all
stand in one sentence that states something, or four in five of them where it has five or more, and are not ruled out
there. What an answer states is its first sentence and every later one that concludes; sentences that list possibilities
state nothing, nor does what stands before a self-correction. Overlap: ROUGE-L F1, right at or above a threshold.
Both are weak: exact match agrees with experts on 70 to 75 % of such answers (HuatuoGPT-o1, section on verifiers), knows
no synonyms, and ROUGE-L measures wording. They are labelled so wherever they show.
"""

import re
import unicodedata
from itertools import pairwise

from stages.evaluate.graders.numerals import SMALL
from stages.evaluate.graders.plain_text import sentences

GREEK = str.maketrans(
    {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "κ": "kappa", "λ": "lambda", "μ": "mu"}
)
STOP = {"a", "an", "the", "of", "in", "on", "at", "to", "for", "with", "and", "by", "is", "are", "be", "was", "were"}
STOP |= {"this", "that", "it", "its", "from", "as", "has", "have"}
POSSESSIVE, BRACKET, ABBREVIATION = re.compile(r"'s\b"), re.compile(r"\([^()]*\)"), re.compile(r"\(([A-Z0-9-]{2,8})\)")
GENERIC = {"infection", "disease", "disorder", "syndrome", "condition"}
TOKEN = re.compile(r"\d+(?:[.,]\d+)*(?:\s?(?:[–-]|to)\s?\d+(?:[.,]\d+)*)?|[^\W_]+")
CONCLUDES = re.compile(
    r"\b(?:most (?:likely|probable|plausible|appropriate)|diagnosis|answer|best|therefore|thus|hence|conclu\w+|"
    r"in summary|overall|final\w*|consistent with|points? to\w*|suggests?|indicates?|should)\b",
    re.I,
)
POSSIBLE = re.compile(r"\b(?:possible|possib\w+|differential|could be|might be|may be)\b", re.I)
TURN = re.compile(
    r"(?:^|[.!?\n—–-] ?)(?:but |no,? )?(?:wait|actually|correction|on second thought|scratch that)\b", re.I
)
NEGATION = {"not", "no", "nor", "neither", "never", "without", "unlike", "exclude", "excluding", "than", "against"}
NEGATIVE_QUESTION = re.compile(r"\b(?:not|cannot|n't|except|least|never|false|incorrect|contraindicated)\b", re.I)
DIGIT = re.compile(r"\d")
CONCEDED = re.compile(r"\b(?:while|although|though|whereas|unlike)\b[^,;]*", re.I)
DENIED = re.compile(r",\s?(?:and |but )?(?:not|rather than|unlike)\b[^,;]*", re.I)
AFTER = re.compile(r"\b(?:not|unlikely|ruled|excluded|incorrect|wrong|cannot)\b", re.I)
REFUSAL = re.compile(
    r"^\W*(?:i'?m (?:really )?sorry|sorry|i can(?:no|')t (?:help|answer|provide|give|assist)|as an ai\b|"
    r"i (?:do not|don't) know)",
    re.I,
)


def refuses(text: str) -> bool:
    """Whether a plain text opens with a refusal."""
    return bool(REFUSAL.match(text))


def normalised(text: str) -> str:
    """The text in lower case, without accents, Greek letters, possessives and British spellings."""
    text = text.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.translate(GREEK))
        text = "".join(char for char in text if not unicodedata.combining(char))
    return POSSESSIVE.sub("", text).replace("ae", "e").replace("oe", "e").replace("n't", " not")


def words(text: str) -> list[str]:
    """The words of a normalised text, in order, stop words left out."""
    found = []
    for word in TOKEN.findall(text):
        word = str(SMALL.get(word, word))
        if word not in STOP:
            found.append(word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] not in "sui" else word)
    return found


def matches(text: str, answer: str, question: str = "") -> bool:
    """Whether a plain text states `answer`, by the rule above."""
    names = [BRACKET.sub(" ", answer), *ABBREVIATION.findall(answer)]
    wanted = [one for one in (words(normalised(name)) for name in names) if one] or [words(normalised(answer))]
    negative = bool(NEGATIVE_QUESTION.search(question))
    return any(_states(sentence, one, negative) for sentence in statements(normalised(text)) for one in wanted)


def statements(text: str) -> list[str]:
    """The sentences of a plain text that state something."""
    turns = list(TURN.finditer(text))
    if turns:
        text = text[turns[-1].end() :]
    parts = sentences(text)
    sure = [part for part in parts if not POSSIBLE.search(part) or CONCLUDES.search(part)]
    concluding = [part for part in sure if CONCLUDES.search(part)]
    return sure[:1] + concluding if concluding else sure


def _states(sentence: str, answer: list[str], negative: bool) -> bool:
    """Whether a sentence has the words of an answer, not ruled out; a `negative` question asks for what is."""
    needed = [word for word in answer if word not in GENERIC and word != "or"] or answer
    if not any(word in sentence or word.isdigit() for word in needed):
        return False
    found = words(CONCEDED.sub("", DENIED.sub("", sentence)))
    places = [found.index(word) for word in needed if word in found]
    if not places or len(places) < (len(needed) if len(needed) < 5 else 0.8 * len(needed)):
        return False
    if any(DIGIT.search(word) and word not in found for word in needed):
        return False
    pairs = set(pairwise(found))
    if any(_letter(one) != _letter(two) and (one, two) not in pairs for one, two in pairwise(needed)):
        return False
    return not _ruled_out(found, min(places), max(places), set(answer), negative)


def _ruled_out(found: list[str], first: int, last: int, answer: set[str], negative: bool) -> bool:
    """Whether a match from word `first` to word `last` is one of two, or denied in front or behind."""
    if "or" not in answer and "or" in found[max(0, first - 1) : first] + found[last + 1 : last + 2]:
        return True
    if not (NEGATION - answer).isdisjoint(found[max(0, first - 4) : last]):
        return True
    behind = " ".join(found[last + 1 : last + 5])
    return not negative and AFTER.search(behind) is not None and not AFTER.search(" ".join(answer))


def _letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha()
