"""Text of a model or dataset made fit to show, short and marked; the template escapes it."""

import re
import unicodedata

from rapidfuzz.distance import Indel

# Control characters but for tab and line feed, marks that reorder the text around them, and halves of a surrogate pair.
TRICKS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Scripts without spaces between words (Thai to Khmer, Japanese, Chinese): each character is a word, with its marks.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
MARKS = "".join(sign for sign in map(chr, range(0x300, 0x11000)) if unicodedata.category(sign)[0] == "M")
TOKENS = re.compile(rf"[{UNSPACED}][{MARKS}]*|(?:(?![{UNSPACED}])[\w{MARKS}])+|\s+|[^\w\s]")
WORDS = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
COMPARED = 2_000  # tokens of each answer; in longer ones no difference is marked
ALIKE = 0.5  # of two answers that share less, every second word would be marked
RUNS = 30  # marked places in an answer; more of them are no help to a reader

Segments = list[tuple[bool, str]]  # (stands in this answer alone, text)


def clean(text: str) -> str:
    """The text with every trick character shown as a sign, and one kind of line end."""
    return TRICKS.sub(_sign, text.replace("\r\n", "\n").replace("\r", "\n"))


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else "␡" if code == 0x7F else f"[U+{code:04X}]"


def words(text: str) -> int:
    """How many words a text has, in any script."""
    return len(WORDS.findall(text))


def clip(text: str, limit: int) -> str:
    """At most `limit` characters of a text, from its start and its end, with a note between."""
    if len(text) <= limit:
        return text
    half = limit // 2
    left_out = f"\n[… {len(text) - 2 * half:,} characters are left out here …]\n"
    return text[:half] + left_out + text[-half:]


def marked(before: str, after: str) -> tuple[Segments, Segments] | None:
    """Both texts in segments that the other shares or not; None where marks would not help."""
    tokens = [TOKENS.findall(text) for text in (before, after)]
    if before == after or not all(tokens) or max(map(len, tokens)) > COMPARED:
        return None
    if Indel.normalized_similarity(*tokens) < ALIKE:
        return None
    sides: tuple[Segments, Segments] = ([], [])
    for step in Indel.opcodes(*tokens):
        alone = step.tag != "equal"
        places = ((step.src_start, step.src_end), (step.dest_start, step.dest_end))
        for side, own, (start, end) in zip(sides, tokens, places, strict=True):
            if start < end and step.tag in ("equal", "delete" if side is sides[0] else "insert"):
                side.append((alone, "".join(own[start:end])))
    joined = _joined(sides[0]), _joined(sides[1])
    return None if max(sum(alone for alone, _ in side) for side in joined) > RUNS else joined


def _joined(segments: Segments) -> Segments:
    """Segments with neighbours of one kind joined; a blank between two marked words is marked."""
    joined: Segments = []
    for index, (alone, text) in enumerate(segments):
        between = joined and joined[-1][0] and index + 1 < len(segments) and segments[index + 1][0]
        if not alone and between and not text.strip():
            alone = True
        if joined and joined[-1][0] == alone:
            joined[-1] = (alone, joined[-1][1] + text)
        else:
            joined.append((alone, text))
    return joined
