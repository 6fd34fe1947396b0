"""Where an answer mentions options: by letter, by text, or by a letter and a text that stand together.

A letter is none where it is an article (`A patient`), an initial (`E. coli`), or part of a name (`vitamin C`, `B
cells`). A text is compared by its words, without endings, small words and connectives (`aspirin plus clopidogrel` is
`Aspirin and clopidogrel`), of which other words may part two; directions and signs are words (`high` is `↑`, `(+)` is
`positive`); an abbreviation is a name too (`PE`). Where a letter and the text beside it disagree, the letter counts.
"""

import re
from collections import deque
from functools import lru_cache
from typing import NamedTuple

from stages.evaluate.graders.plain_text import ASIAN, fold
from stages.evaluate.graders.vocabulary import WORDS, any_of, same

LAST = 300  # letters, texts and sentences from the end that are looked at
TOKEN = re.compile(rf"\([+-]\)|(?:(?<=\w)|(?<=\w ))[+-](?=[,;.\n]|$)|[<>=≤≥↑↓]|{ASIAN}|(?:(?!{ASIAN})\w)+")
BRITISH = re.compile(r"[ao](?=e)|(?<=\wo)u(?=rs?$)")
ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s|e|e?ly|(?<=in)a)$")
SMALL = re.compile(
    r"and|plus|with|together|given|added|addition|combin(?:ed|ation)|in|an?|the|of|to|be|him|her|it|patient|is|are|s|und|mit|y|con|et|avec|и|с|和|与|及|加"
)
TURNING = {"no", "not", "nor", "or", "without", "befor", "after", "rather", "than", "but", "alon", "only"}
TURNING |= {"normal", "↑", "↓", "positiv", "negativ"}
ARROW = re.compile(rf"\b(?:{WORDS['same']['↑']}|{WORDS['same']['↓']})\b", re.I)
GENERIC = {"infection", "disease", "disorder", "syndrome", "condition", "mellitus", "therapy"}
JOINED = re.compile(r"\band\b|\bplus\b|\bwith\b|[+&]")
SHORT = {"yes", "no", "mayb", "tru", "fals", "both", "non"}
PARTED = re.compile(r"(?<!\b[A-Z])[.:!?\n]\s")
SPLIT = re.compile(r"[.;:!?\n]\s")
LETTER = re.compile(r"[A-Za-z](?<!\w.)(?<!°.)(?<!\w['&-].)(?![\w'&-]*\w)")
NAMED = re.compile(rf"{any_of('named')}[\s:-]{{1,2}}(?:is )?\(?$", re.I)
NOUN = re.compile(r"\s(?:cells?|lymphocytes?|antigens?|virus|fibers?|waves?|streptococc|symptoms|vitamins?)", re.I)
INITIAL = re.compile(r"\.\s?(?!(?:the|because|this|it|since|that)\b)[a-z]")
ARTICLE = re.compile(rf"\s(?!{any_of('verbs')})[^\W_]")
LOWER = re.compile(rf"{any_of('answer', 'option', 'choose')}(?:\s(?:is|[:=–—-]|option|letter))*[\s:(]{{0,3}}$", re.I)
ENDS = re.compile(r"\)?\s?(?:[.,;!)\n]|$)")
BESIDE = re.compile(r"\)?\s?[.):]?\s?[(:=,—–-]?\s?(?:the )?")
BRACKETED = re.compile(r"\s?\((?:the )?(?:option |choice |answer |选项|选)?\s?([A-Z])\)", re.I)
DOSE = re.compile(
    r" \d[\d.,–-]{0,8} ?(?:m?c?g|μg|units?|IU|m[lL])\b(?:/\w+){0,2}(?: (?:intraven\w+|intramusc\w+|oral(?:ly)?|daily|"
    r"(?:every|q) ?\d+ ?h(?:ours?|rs?)?|(?:once|twice) (?:a day|daily)))*",
    re.I,
)
CAPITALS = re.compile(r"[A-Z]{2,6}")


class Mention(NamedTuple):
    """One option in an answer: where, which letter, and how it is named."""

    start: int
    end: int
    letter: str
    named: bool = True  # by its text alone
    short: bool = False  # by a text such as `no` or `5` alone


def mentions(text: str, options: dict[str, str]) -> list[Mention]:
    """The mentions of options in a plain text, in order."""
    texts = {one.start: one for one in by_text(text, options)[-LAST:]}
    letters: dict[int, Mention] = {}
    inside = {at for one in texts.values() for at in range(one.start + 1, one.end)}
    for match in deque(LETTER.finditer(text), maxlen=LAST):
        if match.start() not in inside and _is_option(match, text, options):
            between, letter, end = BESIDE.match(text, match.end()), match[0].upper(), match.end()
            beside = texts.get(between.end()) if between else None
            if beside and (beside.letter == letter or "," not in between[0]):
                end = beside.end
            letters[match.start()] = Mention(match.start(), end + (text[end : end + 1] == ")"), letter, named=False)
    owned = {at for one in letters.values() for at in range(one.start, one.end)}
    for one in texts.values():
        if one.start not in owned:
            bracketed = BRACKETED.match(text, one.end)
            letter = letters.pop(bracketed.start(1), None) if bracketed else None
            letters[one.start] = letter._replace(start=one.start, end=bracketed.end()) if letter else one
    return [letters[at] for at in sorted(letters)]


def _is_option(match: re.Match[str], text: str, options: dict[str, str]) -> bool:
    """Whether a single letter in a text is an option's."""
    letter, before, after = match[0], text[max(0, match.start() - 40) : match.start()], text[match.end() :][:60]
    if letter.upper() not in options or NAMED.search(before) or NOUN.match(after):
        return False
    if letter.islower():
        alone = len(text) < 4 or (after[:1] == ")" and (before[-1:] == "(" or not before.strip()))
        return bool(ENDS.match(after) and (alone or LOWER.search(before)))
    if letter in "AEIO" and ARTICLE.match(after):
        return False
    named, longer = [tokens(option) for option in options.values()], tokens(letter + after)
    behind = tokens(BESIDE.sub("", after, count=1))
    if any(words and behind[: len(words[:4])] == words[:4] for words in named):
        return True
    return not (INITIAL.match(after) or any(len(words) > 1 and longer[: len(words)] == words for words in named))


def tokens(text: str) -> list[str]:
    """The words of a text as they are compared."""
    return [one for one in map(_token, TOKEN.findall(fold(text))) if one]


@lru_cache(maxsize=10_000)
def _token(word: str) -> str:
    small = SMALL.fullmatch(word if len(word) == 1 else word.casefold())  # `A` may be a letter
    return "" if small else ENDING.sub("", same(BRITISH.sub("", word)))


def by_text(text: str, options: dict[str, str]) -> list[Mention]:
    """The mentions of options' texts, the longest one at each place."""
    joined = {tuple(tokens(option)) for option in options.values() if JOINED.search(option)}
    owners: dict[tuple[str, ...], set[str]] = {}
    for letter, option in options.items():
        for words in map(tokens, [*names(option), *arranged(option)]):
            owners.setdefault(tuple(words[words[:1] == ["a"] :]), set()).add(letter)
    known: dict[str, list[tuple[str, ...]]] = {}
    for words in sorted((one for one, letters in owners.items() if one and len(letters) == 1), key=len, reverse=True):
        known.setdefault(words[0], []).append(words)
    short_for = {letter: abbreviation(option) for letter, option in options.items()}
    here = [(token, match) for match in TOKEN.finditer(text) if (token := _token(match[0]))]
    every = {word for words in owners for word in words} | TURNING
    found, free = [], 0
    for index, (token, match) in enumerate(here):
        for words in known.get(token, ()) if index >= free else ():
            more = 2 if len(words) > 2 or words in joined or words[::-1] in joined else int(len(words) > 1)
            span = here[index : _end(here, index, words, every, more)]
            parted = PARTED if len(span) == len(words) else SPLIT
            if span and not parted.search(text, match.end(), span[-1][1].start()):
                free = index + len(span)
                short = len(words) == 1 and (token in SHORT or len(token) < 3 or token.isdigit())
                found.append(Mention(match.start(), span[-1][1].end(), next(iter(owners[words])), short=short))
                break
        if index >= free and CAPITALS.fullmatch(match[0]):
            letters = [letter for letter, pattern in short_for.items() if pattern.fullmatch(match[0].casefold())]
            found += [Mention(*match.span(), letter) for letter in letters if len(letters) == 1]
    return found


def _end(here: list[tuple[str, re.Match[str]]], at: int, words: tuple[str, ...], every: set[str], more: int) -> int:
    """Where words that start at an index end, or 0; some `more` may stand between, but none of `every` option's."""
    for word in words:
        while more and at < len(here) and here[at][0] != word and here[at][0] not in every:
            at, more = at + 1, more - 1
        if at == len(here) or here[at][0] != word:
            return 0
        at += 1
    return at


def expanded(text: str, options: dict[str, str]) -> str:
    """The text without doses, if no option has one, and with the abbreviations of an option's parts written out."""
    if not any(re.search(r"\d", option) for option in options.values()):
        text = DOSE.sub("", text)
    parts = [part for option in options.values() for part in JOINED.split(option) if part != option]
    short_for = {part: abbreviation(part) for part in parts}
    for short in set(CAPITALS.findall(text)):
        named = [part for part, pattern in short_for.items() if pattern.fullmatch(short.casefold())]
        text = re.sub(rf"\b{short}\b", named[0].strip(), text) if len(named) == 1 else text
    return text


def abbreviation(name: str) -> re.Pattern[str]:
    """A pattern of the abbreviations of a name of several words: each word's first letter, others on the way."""
    words = re.findall(r"[^\W\d_]+", fold(name).casefold())
    parts = [word[0] + "".join(f"{letter}?" for letter in word[1:]) for word in words if len(words) > 1]
    if len(parts) > 2 and words[-1] in GENERIC | {"artery", "deficiency", "virus"}:
        parts[-1] = f"(?:{parts[-1]})?"
    return re.compile("".join(parts))


def names(option: str) -> list[str]:
    """An option's text and other ways to write it: without brackets, halves swapped, `E. coli`."""
    found = [option, re.sub(r"\([^()]*[^()+-][^()]*\)", " ", option)]
    found += re.findall(r"^\w+ ([A-Z]+\d+)$", option)
    found += re.findall(rf"^(\S+ .*\S) (?:{'|'.join(GENERIC)})$", option)
    found.append(re.sub(r"^(.*)\s(?:and|plus|with|\+|&)\s(.*)$", r"\2 \1", option))
    found.append(re.sub(r"^([\w-]{2,}) ([\w-]{2,})$", r"\2 \1", option))
    return [*found, re.sub(r"^([B-Z])[a-z]{3,} ([a-z]{4,})$", r"\1. \2", option.strip())]


def arranged(option: str) -> list[str]:
    """An option's text with the directions behind their words or before them, and its halves swapped."""
    option = ARROW.sub(lambda match: same(match[0]), option)
    found = [option, re.sub(r"([^,;↑↓]+)([↑↓])", r" \2 \1", option), re.sub(r"([↑↓])([^,;↑↓]+)", r" \2 \1", option)]
    found += [re.sub(r"^(.+) ([↑↓])[,;] (.+) \2$", r"\1 \3 \2", option)]
    return found + [re.sub(r"^([^,;]*)[,;]([^,;]*)$", r"\2 \1", one) for one in found]
