"""A generated text as the graders read it: the part after the thinking, without markup, in sentences.

Patterns here and in the graders are bounded or possessive, so that reading takes time linear in the text.
"""

import re
import unicodedata

LIMIT = 40_000  # characters; of a longer answer the end is read
# Direction marks, zero-width characters, variation selectors, the keycap and emoji show nothing that is graded.
UNSEEN = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\u20e3\u2600-\u27bf\U0001f000-\U0001faff]"
)
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
POWER = re.compile(r"(?<=\d)[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]{1,3}")
SIGNS = {"−": "-", "‐": "-", "‑": "-", "“": '"', "”": '"', "’": "'", "‘": "'", "。": ". ", "，": ", "}
SIGNS |= {"½": ".5", "¼": ".25", "¾": ".75"}
PLAIN_SIGNS = {">=": "≥", "<=": "≤", "{": "(", "}": ")", "[": "(", "]": ")", "\t": " "} | dict.fromkeys('*`$#|"\0', " ")
ANSWER_TAG = re.compile(r"<(/?)answer>", re.I)
TAG = re.compile(r"</?[a-z|][^<>\n]{0,80}>", re.I)
BOLD_LETTER = re.compile(r"\*\*\s{0,2}\(?([A-Z])\)?\s{0,2}\*\*")
LATEX_WORD = re.compile(
    r"\\(?:text|textbf|textit|mathbf|mathrm|mathit|left|right|displaystyle|quad|frac|dfrac)(?![a-z])"
)
LATEX_SIGNS = {"\\boxed": " boxed: ", "\\times": "×", "\\cdot": "×", "\\approx": "≈", "\\%": "%"}
LATEX_SPACE = re.compile(r"\\[,;:! \[\]()]")
AROUND_WORDS = re.compile(r"['_](?:(?![^\W_])|(?<![^\W_].))")
BLANKS, LINES = re.compile(r" [^\S\n]+|[^\S\n ][^\S\n]*"), re.compile(r" ?\n[ \n]*")
SENTENCE = re.compile(r"\n|(?<=[.!?;]) |(?<=\d)\.(?=[A-Z][a-z])")
SUPPOSES = re.compile(r"\bif\b.*\bwould\b|\bsome (?:would|might|may)\b", re.I)


def plain(text: str) -> str:
    """The text without HTML, Markdown and LaTeX, in compatibility form (full-width letters become plain ones)."""
    text = text[-LIMIT:]
    if not text.isascii():
        text = _replaced(POWER.sub(lambda match: "^" + match[0].translate(SUPERSCRIPTS), text), SIGNS)
        text = UNSEEN.sub("", unicodedata.normalize("NFKC", text))[-LIMIT:]
    if "<" in text:
        text = ANSWER_TAG.sub(lambda match: "\n" if match[1] else "\nanswer: ", text)
        text = TAG.sub(" ", text)
    if "\\" in text:
        text = _replaced(LATEX_SPACE.sub(" ", LATEX_WORD.sub("", text)), LATEX_SIGNS)
    text = _replaced(BOLD_LETTER.sub(r"(\1)", text), PLAIN_SIGNS)
    return LINES.sub("\n", BLANKS.sub(" ", AROUND_WORDS.sub(" ", text))).strip()


def empty(text: str) -> bool:
    """Whether nothing of a text remains in plain form."""
    return not (plain(text[:200]) or plain(text))


def sentences(text: str) -> list[str]:
    """Sentences and lines of a plain text, without empty ones."""
    return [part.strip() for part in SENTENCE.split(text) if part.strip()]


def _replaced(text: str, signs: dict[str, str]) -> str:
    for sign, other in signs.items():
        text = text.replace(sign, other)
    return text
