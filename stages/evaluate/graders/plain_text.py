"""A generated text as the graders read it: the part after the thinking, up to a next question, without markup.

Patterns here and in the graders are bounded or possessive, so that reading takes time linear in the text.
"""

import re
import unicodedata
from itertools import islice

LIMIT = 40_000  # characters; of a longer answer the end is read
# A question of the model's own: a heading of the template, a speaker, a further case, or a token that ends a turn.
ANOTHER = re.compile(
    r"<\|?/?(?:im_start|im_end|eot_id|start_header_id|endoftext|end_of_text|begin_of_text|user|end_of_turn|"
    r"start_of_turn|s)\|?>|\[/?INST\]|"
    r"^[ \t]*(?:#{1,6}[ \t]*(?:query|question|task|instruction|input|problem)s?\b[ \t\d]{0,4}(?::|\r?$)|"
    r"(?:\*\*)?(?:(?:next |new )?(?:question|query|user|human|instruction)|q|frage|pregunta|вопрос|问题|题目|問題|질문|"
    r"السؤال)[ \t\d]{0,4}(?:\*\*)?[:：]|below is an? (?:task|instruction|question)\b|"
    r"(?:#{1,6}[ \t]*|\*\*)?(?P<case>case|example|exercise|scenario|vignette)[ \t]*(?:(?!1\b)\d{1,3}\b|:)|"
    r"(?P<patient>"
    r"(?:\d{1,3}[.)][ \t]+)?an? (?:\d{1,3}[- ]\w{3,5}s?[- ]old|(?:wo)?man|boy|girl|patient|child|newborn)\b))",
    re.I | re.M,
)
# The heading that the template ends with: behind a brief answer, or the second time, it opens another one.
HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]*(?:answer|response)[ \t]*(?::|\r?$)", re.I | re.M)
ANSWERED = re.compile(
    r"\s*(?:\(?[A-Z]\)?(?:[.):,].{0,80}|\s*)|-?\d.{0,40}|(?!.*[:?…]|let\b|first\b)(?:\S{1,30} ?){1,4})\s*", re.I
)
# Direction marks, zero-width characters, variation selectors, the keycap and emoji show nothing that is graded.
UNSEEN = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\u20e3\u2600-\u27bf\U0001f000-\U0001faff]"
)
ACCENT = re.compile("[\u0300-\u036f\u064b-\u0655]")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
POWER = re.compile(r"(?<=[\w)])[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]{1,3}")
SIGNS = {"−": "-", "‐": "-", "‑": "-", "“": '"', "”": '"', "’": "'", "‘": "'", "。": ". ", "，": ", ", "、": ", "}
SIGNS |= {"½": ".5", "¼": ".25", "¾": ".75"} | dict.fromkeys("✅✔☑✓", " yes ") | dict.fromkeys("❌✗✘✖", " wrong ")
SIGNS |= {chr(start + index): chr(ord("A") + index) for start in (0x1F150, 0x1F170) for index in range(26)}
SIGNS |= dict.fromkeys("「」『』«»", '"')
PLAIN_SIGNS = dict.fromkeys(("->", "⇒", "⟹", "➔"), "→")
PLAIN_SIGNS |= {">=": "≥", "<=": "≤", "=>": "→", "{": "(", "}": ")", "[": "(", "]": ")", "\t": " "}
PLAIN_SIGNS |= dict.fromkeys('*`$#"_\0', " ")
LATIN = {"А": "A", "В": "B", "С": "C", "Е": "E", "Α": "A", "Β": "B", "Ε": "E"}
LATIN |= dict(zip("БГДГابجده", "BDEDABCDE", strict=True))  # a list's letters in its own script
LOOKALIKE = re.compile(rf"(?<!\w)[{''.join(LATIN)}](?=\s?(?:[.,;:)!*_<\n]|$))")
ASIAN = "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
SCRIPTS_MEET = re.compile(rf"(?<={ASIAN})(?=[^\W_])(?!{ASIAN})|(?<=[^\W_])(?<!{ASIAN})(?={ASIAN})")
ANSWER_TAG, CELL = re.compile(r"<(/?)answer>", re.I), re.compile(r"</t[dh]>\s*<t[dh]\b[^<>]{0,40}>", re.I)
NEW_LINE = re.compile(r"<(?:br|/?p|/?tr|/?div|/?li)\b[^<>]{0,40}>", re.I)
TAG = re.compile(r"</?[a-z|][^<>\n]{0,80}>", re.I)
ROW = re.compile(r"^[ \t]*\|(?P<row>.*?)(?:\|[ \t]*)?$", re.M)
COLUMNS = re.compile(r"^[ \t]*\|[^|\n]*?(?=(?:\|[ *]*[A-H][ *.)]*){3,}\|[ \t]*$).*\n(?:[ \t]*\|.*(?:\n|\Z))+", re.M)
RULE, QUOTED = re.compile(r"^[ \t:|-]{3,}$", re.M), re.compile(r"^[ \t]*>[> \t]*+(?=\D)", re.M)
LETTER_NUMBER, BLANK_HALF = (
    re.compile(r"\b([A-Z])-(?=\d)"),
    re.compile(r"(?<=\d) (?=[½¼¾])|(?<=^−) (?=\d)|(?<=[:=] −) (?=\d)", re.M),
)
BOLD_LETTER = re.compile(r"\*\*\s{0,2}\(?([A-Z])\)?\s{0,2}\*\*")
LATEX_WORD = re.compile(r"\\(?:text|textbf|textit|mathbf|mathrm|mathit|left|right|displaystyle|quad)(?![a-z])")
FRACTION = re.compile(r"\\[dt]?frac\{([^{}]{0,80})\}\{([^{}]{0,80})\}")
LATEX_SIGNS = {"\\boxed": " boxed: ", "\\times": "×", "\\cdot": "×", "\\approx": "≈", "\\%": "%", "\\frac": " "}
SUBSCRIPT = re.compile(r"_\{?(\d+)\}?")
RESPONSE = re.compile(r"\A\s*#{1,6}[ \t]*response\b[^\w\n]{0,4}\n", re.I)  # the template's own heading
ROMAN = re.compile(r"\b(type|stage|grade|class|factor|phase) (i{1,3}|iv|v)\b", re.I)
ROMANS = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5"}
LATEX_SPACE = re.compile(r"\\[,;:! \[\]()]")
TIMES_TEN = re.compile(r"(?<=\b10)\*\*(?=-?\d)")
TIMES, THAT_IS = re.compile(r"(?<=[\d)\w ])\*(?=\s?[\d(])(?!\*)"), re.compile(r"\b(?:i\.e\.|e\.g\.|d\.h\.)", re.I)
QUOTE = re.compile(r"'(?:(?!\w)|(?<!\w.))")
BLANKS, LINES = re.compile(r" [^\S\n]+|[^\S\n ][^\S\n]*"), re.compile(r" ?\n[ \n]*")
SENTENCE = re.compile(r"\n|(?<=[.!?;])(?<!\b[A-Z]\.)(?<!\b[A-Z][a-z]{4}\.) |(?<=\d)\.(?=[A-Z][a-z])")


def own_part(text: str) -> str:
    """The text up to a next question that the model asks itself; one that stands first is an echo and stays."""
    start = len(text) - len(text.lstrip())
    ends = [*islice((one.start() for one in ANOTHER.finditer(text, start) if _opens(one, text, start)), 1)]
    headings = [one.start() for one in HEADING.finditer(text)]
    repeats = headings and ANSWERED.fullmatch(text[: headings[0]])
    ends += headings[:1] if repeats else headings[1:2]
    return text[: min(ends)] if ends else text


def _asks(text: str) -> bool:
    return any(sign in text for sign in ("?", "answer:", "answer**:"))


def _opens(another: re.Match[str], text: str, start: int) -> bool:
    """Whether something stands before a next question: one about a patient asks something, a case is in no row."""
    at, case = another.start(), another["case"]
    before = text[max(start, at - 200) : at].rstrip(" \n*#-")
    if another["patient"] and (before.endswith(":") or not _asks(text[at : at + 600].lower())):
        return False
    return bool(before) and not (case and re.search(rf"\b{case} ?1\b", text[start:at], re.I))


def fold(text: str) -> str:
    """The text in compatibility form (full-width letters become plain ones), without accents."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", ACCENT.sub("", unicodedata.normalize("NFKD", text)))


def plain(text: str) -> str:
    """The text without HTML, Markdown, LaTeX and accents, a blank between the letters of two scripts."""
    text = text[-LIMIT:]
    if not text.isascii():
        text = _replaced(
            POWER.sub(lambda match: "^" + match[0].translate(SUPERSCRIPTS), BLANK_HALF.sub("", text)), SIGNS
        )
        text = UNSEEN.sub("", fold(text))[-LIMIT:]
        text = LOOKALIKE.sub(lambda match: LATIN[match[0]], SCRIPTS_MEET.sub(" ", text))
    if "<" in text:
        text = ANSWER_TAG.sub(lambda match: "\n" if match[1] else "\nanswer: ", CELL.sub(": ", text))
        text = TAG.sub(" ", NEW_LINE.sub("\n", text))
    if ">" in text:
        text = QUOTED.sub("", text)
    if "|" in text:
        text = COLUMNS.sub(_turned, text)
        text = ROW.sub(lambda match: match["row"].replace("|", ": "), RULE.sub("", text)).replace("|", " ")
    if "\\" in text:
        text = _replaced(LATEX_SPACE.sub(" ", LATEX_WORD.sub("", FRACTION.sub(r"(\1)/(\2)", text))), LATEX_SIGNS)
    text = TIMES.sub("×", BOLD_LETTER.sub(r"(\1)", TIMES_TEN.sub("^", text))) if "*" in text else text
    text = _replaced(SUBSCRIPT.sub(r"\1", RESPONSE.sub("", text, count=1)), PLAIN_SIGNS)
    text = ROMAN.sub(lambda match: f"{match[1]} {ROMANS[match[2].lower()]}", text)
    text = LETTER_NUMBER.sub(r"\1", THAT_IS.sub("that is", text))
    return LINES.sub("\n", BLANKS.sub(" ", QUOTE.sub(" ", text))).strip()


def empty(text: str) -> bool:
    """Whether nothing of a text remains in plain form."""
    return not (plain(text[:200]) or plain(text))


def sentences(text: str) -> list[str]:
    """Sentences and lines of a plain text, without empty ones."""
    return [part.strip() for part in SENTENCE.split(text) if part.strip()]


def _turned(table: re.Match[str]) -> str:
    """A table with letters as columns, turned so that they lead its rows."""
    rows = [line.strip().strip("|").split("|") for line in table[0].splitlines() if not RULE.match(line)]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in zip(*rows, strict=False))


def _replaced(text: str, signs: dict[str, str]) -> str:
    for sign, other in signs.items():
        text = text.replace(sign, other)
    return text
