"""The words of vocabulary.toml as patterns, and what they make of a sentence: what is denied, supposed, taken back."""

import re
import tomllib
from functools import lru_cache
from pathlib import Path

from stages.evaluate.graders.plain_text import ASIAN, fold

WORDS = tomllib.loads(fold(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")))


def any_of(*meanings: str) -> str:
    """A pattern of all words of some meanings."""
    chosen = [WORDS[meaning] for meaning in meanings]
    spaced = "|".join(one[key] for one in chosen for key in ("en", "others") if key in one)
    east = "".join(f"|{one['east']}" for one in chosen if "east" in one)
    return rf"(?:(?<!\w)(?:{spaced})(?!\w){east})"


CONCLUDES = re.compile(any_of("answer", "best", "choose", "so", "suggest"), re.I)
# A label at the start of a sentence, with words around its noun: `The final answer is:`, `Respuesta correcta:`.
LABEL = any_of("answer", "option").removesuffix(")") + r"|\b(?:final|correct|boxed)\b)"
ANSWER_LINE = re.compile(
    r"(?:^|(?<=[\n.!?;(,]))[^\w\n(]{0,6}(?:(?!wrong|incorrect|not|other|second|least)"
    rf"(?:[^\W\d_]{{1,16}} |{ASIAN}{{1,4}})){{0,3}}?{LABEL}(?:\s?[^\W\d]{{2,16}}){{0,2}}?\s?(?::|=|→|\n| [–—-] )",
    re.I,
)
NOT_BEFORE = re.compile(
    rf"(?:{any_of('not')}|[>/]|≠)\W{{0,3}}(?:{ASIAN}{{0,4}}|(?:\w+\W{{1,3}}){{0,3}})$|"
    r"\b(?:do|does|did|could|would) ?(?:not|n't)\b.*$|\bfirst,? (?:and )?then (?:\w+ ){0,2}$",
    re.I,
)
KEPT = (
    r"\W?(?:(?:is|are|be|being|only|should|may|can|held|kept|added|given|used|considered|needed|but|as|well) ){0,4}"
    rf"(?:{any_of('later')}|"
    rf"would (?:\w+ly |instead |also )?{any_of('shows')}(?! (?:this|these|such|the (?:best|most))))"
)
WRONG_AFTER = re.compile(rf"\W{{0,3}}(?:\w+\W{{1,3}}){{0,3}}?{any_of('wrong')}|{KEPT}", re.I)
SUPPOSED = re.compile(
    r"\b(?:(?:if|wenn|falls|si|если)\b.*\b(?:would|were|had|ware|seria|serait|бы)|"
    r"if\b.*\b(?:may|might|could) be (?:necessary|needed|required|considered)|"
    r"(?:would|only|might)\b.*\b(?:if|instead)|had (?:s?he|it|they|the)|whether|"
    rf"would {any_of('shows')}).*?"
    r"(?=,? (?:but|however)\b|;|$)|"
    r"\b(?:some (?:\w+ )?(?:would|might|may|choose|say|think|prefer|argue)|one (?:might|may|could|would))\b[^,;]*|"
    r"\bdifferential\b.*?(?=,? (?:but|however)\b|;|$)|如果.*",
    re.I,
)
PERHAPS = re.compile(any_of("perhaps"), re.I)
TURN = re.compile(
    rf"(?:^|[.!?\n…—–;:,-] ?)(?:(?:but|no|hmm|oh|and),? ){{0,3}}{any_of('turn')}|"
    r"(?<=[.!] )no(?=, (?!it|this|that|there|the|he|she|they)\w)|"
    r"(?<=\w)(?:[,…—–]|\.\.\.| -) ?(?:no|nein|нет|不)(?=\s?[,—–-])",
    re.I,
)
ASKED = re.compile(r"[?؟]\W*$")
NEGATIVE_QUESTION = re.compile(
    r"\b(?:not|cannot|n't|except|least|never|false|incorrect|contraindicated)\b[^.?!]*[.?!:]?\s*$", re.I
)
SAME = {word: re.compile(pattern, re.I) for word, pattern in WORDS["same"].items()}


PHRASES = list(WORDS["phrases"])
PHRASE = re.compile(rf"(?<![a-z])(?:{'|'.join(f'({one})' for one in WORDS['phrases'].values())})(?![a-z])", re.I)


def phrased(text: str) -> str:
    """The text with other names of several words as the word that stands for them."""
    return PHRASE.sub(lambda match: PHRASES[match.lastindex - 1], text)


@lru_cache(maxsize=100_000)
def same(word: str) -> str:
    """The word that stands for a word and all that mean the same, in lower case."""
    return next((one for one, pattern in SAME.items() if pattern.fullmatch(word)), word.casefold())
