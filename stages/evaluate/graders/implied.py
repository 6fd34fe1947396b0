"""Options that an answer implies where it names none: by its number, by a denial, by its words."""

import re

from stages.evaluate.graders import number, numerals
from stages.evaluate.graders.mentions import TURNING, mentions, tokens

CLAUSE = re.compile(r"[.;\n]\s|, (?:while|whereas|but)\b")
DENIES = re.compile(r"\b(?:no|not|cannot|if|might|may|could)\b|n't\b|[?]", re.I)
BRIEF = 16  # words of a brief answer
NO_NOUN = re.compile(r"\b(?:no|not|cannot|\w{1,6}n't) (?:\w+ )?(\w{4,6})", re.I)


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


def by_words(text: str, options: dict[str, str]) -> str | None:
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
