"""Training rows that overlap an evaluation question, and by which rule.

Three rules, on words without case, accents and punctuation; numbers are words. The first that applies names the leak:

1. `same question`: the texts are equal after `dataset.normalise`.
2. `13-gram`: 13 words in a row are shared. Brown et al. 2020, Language models are few-shot learners (arXiv:2005.14165),
   appendix C. As there, stock phrases do not count, such as "which of the following is the most likely cause of this
   patient's". Theirs are met more than ten times; ours hold fewer than two rare words, those in at most ten questions
   of the set or a twentieth of it: in a few hundred questions, most stock phrases are met only once or twice.
3. `similar words`: the Jaccard similarity of the two bags of words is at least 0.8; or, since that allows one changed
   word in nine, of 20 words or more no more than one in ten, rounded up, is another. The shingles are single words, as
   in the paper's own deduplication (appendix A), each numbered by its occurrence, which makes a bag a set (Chum et al.
   2008, Near duplicate image detection): one change in ten leaves 9/11 = 0.82 of them, but 0.67 of pairs of words.
   MinHash (Broder 1997, On the resemblance and containment of documents) in bands (Leskovec et al., Mining of massive
   datasets, chapter 3) proposes the pairs, whose words are then counted.

A paraphrase or a translation is found by no rule, and a language without spaces between words almost only by the
first. Two questions of nine words or more that differ in a single one are similar, whatever that word means.
"""

import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby

from datasketch import MinHash, MinHashLSH
from datasketch.hashfunc import sha1_hash64

from stages.data.dataset import normalise
from stages.files.records import Row

SAME, GRAM, SIMILAR = "same question", "13-gram", "similar words"
GRAM_WORDS = 13
RARE_WORDS, RARE_ROWS, RARE_SHARE = 2, 10, 0.05
SIMILARITY = 0.8
LONG, CHANGED_OF = 20, 10
BANDS, BAND = 40, 5  # misses (1 - 0.75**5)**40 = 0.002 % of the pairs at 0.75, the least similar that rule 3 can find
SEED = 1

Bag = tuple[str, ...]


class Leaks:
    """Finds overlaps with evaluation rows, in any order. Memory grows with these rows alone."""

    def __init__(self, evaluation_rows: Iterable[Row]) -> None:
        """Index the rows by `set` and `question` (the whole text, passage included)."""
        self._texts: dict[str, str] = {}
        self._grams: dict[int, str] = {}
        self._bags: list[tuple[str, Bag]] = []
        self._blank = MinHash(num_perm=BANDS * BAND, seed=SEED)
        self._bands = MinHashLSH(num_perm=BANDS * BAND, params=(BANDS, BAND))
        rows = sorted({(row["set"], row["question"]) for row in evaluation_rows})
        for name, group in groupby(rows, key=lambda row: row[0]):
            questions = {normalise(question): question for _, question in group}
            rare = _rare_words(questions)
            for text, question in questions.items():
                self._add(name, text, question, rare)

    def _add(self, name: str, text: str, question: str, rare: set[str]) -> None:
        self._texts.setdefault(text, name)
        words = text.split()
        for start, gram in enumerate(_grams(words)):
            if sum(word in rare for word in words[start : start + GRAM_WORDS]) >= RARE_WORDS:
                self._grams.setdefault(gram, name)
        for bag in _bags(question):
            self._bands.insert(len(self._bags), self._sketch(bag))
            self._bags.append((name, bag))

    def reason(self, question: str) -> tuple[str, str] | None:
        """The evaluation set that a question leaks, and the first rule that finds it, or None.

        Where that rule finds several sets, the first by name is returned.
        """
        text = normalise(question)
        if text in self._texts:
            return self._texts[text], SAME
        if names := {self._grams[gram] for gram in _grams(text.split()) if gram in self._grams}:
            return min(names), GRAM
        if names := {name for bag in _bags(question) for name in self._similar(bag)}:
            return min(names), SIMILAR
        return None

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


def _rare_words(texts: Collection[str]) -> set[str]:
    counts = Counter(word for text in texts for word in set(text.split()))
    return {word for word, count in counts.items() if count <= max(RARE_ROWS, RARE_SHARE * len(texts))}


def _grams(words: list[str]) -> Iterator[int]:
    for start in range(len(words) - GRAM_WORDS + 1):
        yield sha1_hash64(" ".join(words[start : start + GRAM_WORDS]).encode())


def _bags(question: str) -> list[Bag]:
    """The words of a question, numbered by occurrence.

    Punctuation is read as a space and, where that differs, as nothing: as a space alone, one change of `65-year-old`
    would be three, and `65yearold` another word.
    """
    bags = []
    for text in dict.fromkeys((normalise(question), normalise(re.sub(r"[^\w\s]", "", question)))):
        counts: Counter[str] = Counter()
        bag = []
        for word in text.split():
            counts[word] += 1
            bag.append(sys.intern(f"{word} {counts[word]}"))
        if bag:
            bags.append(tuple(bag))
    return bags
