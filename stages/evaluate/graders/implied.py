"""Options that an answer implies: by place, number, denial, opening, the question's words."""

import re
from collections import Counter
from itertools import chain

from stages.evaluate.graders import number, numerals
from stages.evaluate.graders.mentions import TURNING, mentions, tokens
from stages.evaluate.graders.vocabulary import WORDS, any_of

CLAUSE = re.compile(r"[.;\n]\s|, (?:while|whereas|but)\b")
DENIES = re.compile(r"\b(?:no|not|cannot|if|might|may|could)\b|n't\b|[?]", re.I)
SENTENCE, JOINS = re.compile(r"[.!?]\s|\n"), re.compile(r",? (?:and|or)\b")
ASKED = 200  # characters of a question that ask
BRIEF = 16  # words of a brief answer
STEM = 7  # letters by which words are compared where all else fails
DENIED = re.compile(rf"{any_of('not', 'wrong', 'perhaps')}|\b(?:whether|if|would)\b|[?]", re.I)
AUXILIARY = {"do", "doe", "did"}
NOT = re.compile(r"(?:\b(?:does|do|did|is|are|was|were|should|can)\b ?|\bcan)not\b(?! only)", re.I)
NO_NOUN = re.compile(r"\b(?:no|not|cannot|\w{1,6}n't) (?:\w+ )?(\w{4,5})", re.I)

PLACES = WORDS["places"]["en"].split("|")
PLACE = re.compile(
    rf"\b(?:the )?({'|'.join(PLACES)}|last) (?:option|choice|one|answer)\b|"
    r"\b(?:option|choice) (?:number )?(?:(?P<digit>[1-9])|(?P<word>one|two|three|four|five))\b(?!\.\d)",
    re.I,
)
COUNTS = ["one", "two", "three", "four", "five"]


def placed(text: str, options: dict[str, str]) -> str:
    """The text with `the third option` and `option 3` as `option C`, where it mentions none."""
    if mentions(text, options):
        return text
    letters = sorted(options)

    def lettered(match: re.Match[str]) -> str:
        place, digit, word = (one and one.lower() for one in match.groups())
        at = -1 if place == "last" else int(digit) - 1 if digit else (COUNTS if word else PLACES).index(word or place)
        return f"option {letters[at]}" if at < len(letters) else match[0]

    return PLACE.sub(lettered, text)


def by_value(text: str, options: dict[str, str], question: str) -> str | None:
    """The letter of the option whose number a text states, where all options are numbers."""
    values = {letter: numerals.truth(numerals.spelled(option)) for letter, option in options.items()}
    shares = all("%" in option for option in options.values())
    if None in values.values() or (result := number.stated(text, question, share=shares)) is None:
        return None
    distances = {letter: numerals.apart(result, value) for letter, value in values.items()}
    nearest = min(distances, key=distances.__getitem__)
    alone = list(distances.values()).count(distances[nearest]) == 1
    return nearest if alone and distances[nearest] < 1 else None


def denied(text: str, options: dict[str, str], question: str) -> str | None:
    """The option `no` where a brief text says `no association`, and the question asks about an association."""
    noun = NO_NOUN.search(text) if len(text.split()) <= BRIEF else None
    asked = noun and noun[1].casefold() in question.casefold()
    return next((letter for letter, option in options.items() if asked and option.casefold() == "no"), None)


def affirmed(text: str, options: dict[str, str], question: str) -> str | None:
    """The option `yes` where a brief text denies nothing and says next to nothing but words of the question."""
    said, asked = ({word[:5] for word in tokens(part) if len(word) > 3} for part in (text, question))
    repeats = len(text.split()) <= BRIEF and not DENIED.search(text) and len(said & asked) >= 0.8 * len(said) > 0
    return next((letter for letter, option in options.items() if repeats and option.casefold() == "yes"), None)


def echoed(text: str, options: dict[str, str], question: str) -> str | None:
    """The option `yes` or `no` where the last sentence with all words of the question affirms or denies them."""
    letters = {option.casefold(): letter for letter, option in options.items()}
    asked, *others = ({*tokens(one)} for one in [SENTENCE.split(question.strip(" ?\n"))[-1], *SENTENCE.split(text)])
    if not letters.keys() >= {"yes", "no"} or len(asked) < 4:
        return None
    repeats = [one for one, said in zip(SENTENCE.split(text), others, strict=True) if asked - AUXILIARY <= said]
    said, denials = NOT.subn(" ", repeats[-1]) if repeats else ("?", 0)
    return None if denials > 1 or DENIED.search(said) else letters["no" if denials else "yes"]


def by_question(text: str, options: dict[str, str], question: str) -> str | None:
    """The only option in the clause of a brief text that repeats most of the question."""
    asked, shares = {one for one in tokens(question) if len(one) > 2}, {}
    for clause in CLAUSE.split(text) if len(text.split()) <= 2 * BRIEF else ():
        here = {one.letter for one in mentions(clause, options)}
        if len(here) == 1 and not DENIES.search(clause):
            letter = here.pop()
            shares[letter] = max(shares.get(letter, 0), len(asked & {*tokens(clause)}))
    most = [letter for letter, share in shares.items() if share == max(shares.values())]
    return most[0] if len(most) == 1 < len(shares) else None


def by_opening(text: str, options: dict[str, str], question: str) -> str | None:
    """The only option in a text's first sentence, where that denies nothing and repeats words of what is asked."""
    opening = SENTENCE.split(text, maxsplit=1)[0]
    asked, said = ({one for one in tokens(part) if len(one) > 3} for part in (question[-ASKED:], opening))
    here = mentions(opening, options)
    alone = len({one.letter for one in here}) == 1 and not JOINS.match(opening, here[-1].end)
    return here[0].letter if alone and len(asked & said) >= 3 and not DENIES.search(opening) else None


def by_own_words(text: str, options: dict[str, str]) -> str | None:
    """The only option with a word of its own in a brief text that has half of its words, by their first letters."""
    stems = {letter: {word[:STEM] for word in tokens(option) if len(word) > 3} for letter, option in options.items()}
    counts = Counter(chain.from_iterable(stems.values()))
    owned = {letter: {word for word in words if counts[word] == 1} for letter, words in stems.items()}
    said = " ".join(one for one in CLAUSE.split(text) if not DENIED.search(one))
    heard = {word[:STEM] for word in tokens(said)} if len(text.split()) <= BRIEF else set()
    most = 2 if len(text.split()) <= BRIEF / 2 else 1
    told = [
        letter
        for letter, words in stems.items()
        if owned[letter] & heard
        and (len(words & heard) >= max(2, len(words) / 2) or len(owned[letter] & heard) >= len(owned[letter]) / most)
    ]
    return told[0] if len(told) == 1 else None


def by_words(text: str, options: dict[str, str], question: str) -> str | None:
    """The option that a text states in other words, or None."""
    return (
        affirmed(text, options, question)
        or echoed(text, options, question)
        or by_most_words(text, options)
        or by_own_words(text, options)
    )


def by_most_words(text: str, options: dict[str, str]) -> str | None:
    """The only option that has all words of a text, or else most of its own words in the text, far before others."""
    said = set(tokens(text))
    whole = [letter for letter, option in options.items() if said and said <= {*tokens(option)}]
    if len(whole) == 1 and not said <= TURNING:
        return whole[0]
    shares = {}
    for letter, option in options.items():
        words = {*tokens(option)}
        shares[letter] = len(words & said) / len(words) if len(words) > 2 and not words & TURNING else 0.0
    most, *others = sorted(shares, key=shares.__getitem__, reverse=True)
    return most if shares[most] >= 0.75 and shares[most] - max(map(shares.get, others), default=0.0) >= 0.4 else None
