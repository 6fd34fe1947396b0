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

from stages.common.graders.number import SMALL
from stages.common.graders.reading import plain, sentences

GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "κ": "kappa", "λ": "lambda", "μ": "mu", "ω": "omega"
}  # fmt: skip
STOP = set("a an the of in on at to for with and by is are be was were this that it its from as has have".split())
GENERIC = {"infection", "disease", "disorder", "syndrome", "condition"}
TOKEN = re.compile(r"\d+(?:[.,]\d+)*(?:\s?(?:[–-]|to)\s?\d+(?:[.,]\d+)*)?|[^\W_]+")
CONCLUDES = re.compile(
    r"\b(?:most (?:likely|probable|plausible|appropriate)|diagnosis|answer|best|therefore|thus|hence|conclu\w+|in summary|overall|"
    r"final\w*|consistent with|points? to\w*|suggests?|indicates?|should)\b",
    re.I,
)
POSSIBLE = re.compile(r"\b(?:possible|possib\w+|differential|could be|might be|may be)\b", re.I)
TURN = re.compile(r"\b(?:wait|actually|correction|on second thought|scratch that)\b", re.I)
NEGATION = {"not", "no", "nor", "without", "unlike", "exclude", "excludes", "excluding", "than", "never", "isn", "neither", "against"}
NEGATIVE_QUESTION = re.compile(r"\b(?:not|cannot|n't|except|least|never|false|incorrect|contraindicated)\b", re.I)
CONCEDED = re.compile(r"\b(?:while|although|though|whereas|unlike)\b[^,;]*", re.I)
DENIED = re.compile(r",\s?(?:and |but )?(?:not|rather than|unlike)\b[^,;]*", re.I)
AFTER = re.compile(r"\b(?:not|unlikely|ruled|excluded|incorrect|wrong|cannot)\b", re.I)
REFUSAL = re.compile(
    r"^\W*(?:i'?m (?:really )?sorry|sorry|i can(?:no|')t (?:help|answer|provide|give|assist)|as an ai\b|i (?:do not|don't) know)", re.I
)


def refuses(text: str) -> bool:
    """Whether an answer opens with a refusal."""
    return bool(REFUSAL.match(plain(text)))


def words(text: str) -> list[str]:
    """Normalised words, in order, stop words left out."""
    text = "".join(GREEK.get(char, char) for char in text.casefold())
    text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    text = re.sub(r"'s\b", "", text).replace("ae", "e").replace("oe", "e").replace("n't", " not")
    found = []
    for word in TOKEN.findall(text):
        word = str(SMALL.get(word, word))
        if word not in STOP:
            found.append(word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] not in "sui" else word)
    return found


def matches(text: str, answer: str, question: str = "") -> bool:
    """Whether `text` states `answer`, by the rule above."""
    wanted = [words(re.sub(r"\([^()]*\)", " ", answer)) or words(answer)]
    wanted += [words(short) for short in re.findall(r"\(([A-Z0-9-]{2,8})\)", answer)]
    negative = bool(NEGATIVE_QUESTION.search(question))
    return any(_states(sentence, one, negative) for sentence in statements(plain(text)) for one in wanted)


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
    needed = [word for word in answer if word not in GENERIC and word != "or"] or answer
    found = words(CONCEDED.sub("", DENIED.sub("", sentence)))
    places = [found.index(word) for word in needed if word in found]
    if not places or len(places) < (len(needed) if len(needed) < 5 else 0.8 * len(needed)):
        return False
    first, last = min(places), max(places)
    if any(word not in found for word in needed if any(char.isdigit() for char in word)):
        return False
    pairs = set(pairwise(found))
    if any(_letter(one) != _letter(two) and (one, two) not in pairs for one, two in pairwise(needed)):
        return False
    if "or" not in answer and "or" in found[max(0, first - 1) : first] + found[last + 1 : last + 2]:
        return False
    denied = NEGATION - set(answer)
    if any(word in denied for word in found[max(0, first - 4) : last]):
        return False
    return negative or not AFTER.search(" ".join(found[last + 1 : last + 5])) or bool(AFTER.search(" ".join(answer)))


def _letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha()
