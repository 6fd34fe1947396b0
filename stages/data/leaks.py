"""Training rows that overlap an evaluation question, and by which rule.

Three rules, on letters and digits without case, accents, punctuation and look-alikes. The first that applies names the
leak. The first two ignore spaces, so that missing spaces and hyphens at line ends hide nothing.

1. `same question`: a text of the row is the question, with its options or, where no other question of the set has the
   same stem, without them.
2. `40 letters`: a text of the row shares 40 letters in a row, as in the GPT-4 technical report (arXiv:2303.08774,
   appendix C), there 50. Stock phrases, such as "which of the following is the most likely cause of this patient's", do
   not count: the passage must be the whole question, or all its options, or have six words and 20 letters in rare
   words, those of at most three questions of the set or 3 % of it that are none of `stock_words`.
3. `similar words`: the Jaccard similarity of the two questions' bags of words is at least 0.8; or, since that allows
   one changed word in nine, of 20 words or more no more than one in ten, rounded up, is another. The shingles are
   single words, as in Brown et al. 2020 (arXiv:2005.14165, appendix A), each numbered by its occurrence, which makes a
   bag a set (Chum et al. 2008, Near duplicate image detection): one change in ten leaves 9/11 = 0.82 of them, but 0.67
   of pairs of words. MinHash (Broder 1997, On the resemblance and containment of documents) in bands (Leskovec et al.,
   Mining of massive datasets, chapter 3) proposes the pairs, whose words are then counted.

No rule finds a paraphrase or a translation. Two questions of nine words or more that differ in a single one are
similar, whatever that word means.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from datasketch import MinHash, MinHashLSH

from stages.data.dataset import normalise
from stages.data.stock_words import STOCK_WORDS
from stages.files.records import Row

SAME, PASSAGE, SIMILAR = "same question", "40 letters", "similar words"
LETTERS, WORDS, RARE_LETTERS = 40, 6, 20
GAP = re.compile(r"(?<=\d)\s+(?=\d)")
BLOCK = 20  # one in every LETTERS - BLOCK + 1 letters is indexed: each LETTERS in a row contain a whole one
RARE_ROWS, RARE_SHARE = 3, 0.03
SIMILARITY = 0.8
LONG, CHANGED_OF = 20, 10
BANDS, BAND = 40, 5  # misses (1 - 0.75**5)**40 = 0.002 % of the pairs at 0.75, the least similar that rule 3 can find
SEED = 1
# Scripts without spaces between words, each letter a word here: Thai, Lao, Burmese, Khmer, Japanese, Chinese.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)

Bag = tuple[str, ...]


@dataclass(frozen=True)
class Text:
    """An evaluation question with its options, as letters without spaces."""

    set: str
    letters: str
    rare: bytes  # 1 for each letter of a rare word
    starts: bytes  # 1 for each first letter of a word
    stem_end: int  # the letters of a stem that is the set's only one; all letters otherwise
    options_start: int  # the letters before a list of options that is the set's only one; -1 without one

    def leaks(self, start: int, end: int) -> bool:
        """Whether a shared passage, from one letter to another, is more than a stock phrase."""
        if end - start < LETTERS:
            return False
        if (start == 0 and end >= self.stem_end) or (start <= self.options_start and end == len(self.letters)):
            return True
        return self.starts.count(1, start, end) >= WORDS and self.rare.count(1, start, end) >= RARE_LETTERS


class Leaks:
    """Finds overlaps with evaluation rows, in any order. Memory grows with these rows alone."""

    def __init__(self, evaluation_rows: Iterable[Row]) -> None:
        """Index the rows by `set`, `question` (the whole text, passage included) and `options`."""
        self._same: dict[str, str] = {}
        self._texts: list[Text] = []
        self._blocks: dict[str, list[tuple[int, int]]] = {}
        self._bags: list[tuple[str, Bag]] = []
        self._blank = MinHash(num_perm=BANDS * BAND, seed=SEED)
        self._bands = MinHashLSH(num_perm=BANDS * BAND, params=(BANDS, BAND))
        rows = {(row["set"], row["question"], tuple(sorted(row.get("options", {}).items()))) for row in evaluation_rows}
        for name, group in groupby(sorted(rows), key=lambda row: row[0]):
            self._add(name, [(question, dict(options)) for _, question, options in group])

    def _add(self, name: str, questions: list[tuple[str, dict[str, str]]]) -> None:
        """Index the questions of a set."""
        listed = ["\n".join(options.values()) for _, options in questions]
        whole = [f"{question}\n{options}" for (question, _), options in zip(questions, listed, strict=True)]
        stems = Counter(normalise(question) for question, _ in questions)
        lists = Counter(map(normalise, listed))
        counts = Counter(word for text in whole for word in set(_words(text)))
        rare = {word for word, count in counts.items() if count <= max(RARE_ROWS, RARE_SHARE * len(whole))}
        rare -= STOCK_WORDS  # a set of few questions cannot show what is common
        for (question, options), texts, plain in zip(questions, listed, whole, strict=True):
            only_stem, only_list = stems[normalise(question)] == 1, bool(options) and lists[normalise(texts)] == 1
            asked = "\n".join([question, *(f"{letter}. {text}" for letter, text in options.items())])
            forms = {plain: question, asked: question}
            stem, choices = [question] * only_stem, [texts] * only_list
            for bag in dict.fromkeys(bag for text in [*forms, *stem, *choices] for bag in _bags(text)):
                self._bands.insert(len(self._bags), self._sketch(bag))
                self._bags.append((name, bag))
            forms |= {GAP.sub("", text): GAP.sub("", question) for text in forms}  # as a copy without spaces has them
            for text, start in forms.items():
                self._index(name, text, start, rare, only_stem, only_list)

    def _index(self, name: str, text: str, stem: str, rare: set[str], only_stem: bool, only_list: bool) -> None:
        """Index a question for rules 1 and 2; `only_stem`, `only_list`: no other has them."""
        letters, start, marks, starts = _joined(text), _joined(stem), bytearray(), bytearray()
        for one in [letters, start] if only_stem else [letters]:
            self._same.setdefault(one, name)
        for word in _words(text):
            gap = len(marks) < len(letters) and letters[len(marks)] == " "
            marks += bytes(gap) + bytes([word in rare]) * len(word)
            starts += bytes(gap) + b"\1" + bytes(len(word) - 1)
        for at in range(0, len(letters) - BLOCK + 1, LETTERS - BLOCK + 1):
            self._blocks.setdefault(letters[at : at + BLOCK], []).append((len(self._texts), at))
        end, begin = len(start if only_stem else letters), len(start) if only_list else -1
        self._texts.append(Text(name, letters, bytes(marks), bytes(starts), end, begin))

    def reason(self, question: str, *others: str) -> tuple[str, str] | None:
        """The evaluation set that a row's texts leak, and the first rule that finds it, or None.

        Where that rule finds several sets, the first by name is returned. Rule 3 reads the question alone.
        """
        texts = [_joined(text) for text in (question, *others)]
        if names := {self._same[text] for text in texts if text and text in self._same}:
            return min(names), SAME
        if names := {name for text in texts for name in self._shared(text)}:
            return min(names), PASSAGE
        if names := {name for bag in _bags(question) for name in self._similar(bag)}:
            return min(names), SIMILAR
        return None

    def _shared(self, letters: str) -> Iterator[str]:
        """The sets of questions that share a passage with a text."""
        for here in range(len(letters) - BLOCK + 1):
            for index, there in self._blocks.get(letters[here : here + BLOCK], ()):
                text = self._texts[index]
                before = _common(reversed(letters[:here]), reversed(text.letters[:there]))
                after = _common(letters[here:], text.letters[there:])
                if text.leaks(there - before, there + after):
                    yield text.set

    def _similar(self, bag: Bag) -> Iterator[str]:
        words = frozenset(bag)
        for index in self._bands.query(self._sketch(bag)):
            name, other = self._bags[index]
            fewer, more = sorted((len(bag), len(other)))
            if fewer / more < SIMILARITY:
                continue
            shared = len(words.intersection(other))
            nearly = more >= LONG and more - shared <= -(-more // CHANGED_OF)
            if nearly or shared / (fewer + more - shared) >= SIMILARITY:
                yield name

    def _sketch(self, bag: Bag) -> MinHash:
        sketch = self._blank.copy()
        sketch.update_batch([word.encode() for word in bag])
        return sketch


def _words(text: str) -> list[str]:
    return UNSPACED.sub(r" \g<0> ", normalise(text)).split()


def _joined(text: str) -> str:
    """The words of a text without spaces, but for one between two numbers: `9.2` is not `92`."""
    return re.sub(r"(?<!\d) | (?!\d)", "", " ".join(_words(text)))


def _common(one: Iterable[str], other: Iterable[str]) -> int:
    """How many letters two texts have in common at their start."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _bags(question: str) -> list[Bag]:
    """The words of a question, numbered by occurrence.

    Punctuation is read as a space and, where that differs, as nothing: as a space alone, one change of `65-year-old`
    would be three, and `65yearold` another word.
    """
    bags = []
    for words in dict.fromkeys((tuple(_words(question)), tuple(_words(re.sub(r"[^\w\s]", "", question))))):
        counts: Counter[str] = Counter()
        bag = []
        for word in words:
            counts[word] += 1
            bag.append(sys.intern(f"{word} {counts[word]}"))
        if bag:
            bags.append(tuple(bag))
    return bags
