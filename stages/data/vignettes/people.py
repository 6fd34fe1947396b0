"""Whom a score is for, how a vignette calls them, and what their age and sex give."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from stages.data.vignettes.measures import Number
from stages.data.vignettes.signs import Finding


@dataclass(frozen=True)
class Person:
    """A random patient: their description, and what age and sex give, in its order."""

    text: str
    sex: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Patients:
    """Those whom a score is for, with an age and a sex, which some scores count."""

    ages: tuple[int, int] = (18, 90)
    settings: tuple[str, ...] = ("",)
    age: Number | None = None
    male: float | None = None
    female: float | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        """What age and sex give, in the words of the score sheet."""
        sexes = (("man", self.male), ("woman", self.female))
        return (*((self.age.rule,) if self.age else ()), *(f"{sex} ({points:g})" for sex, points in sexes if points))

    def draw(self, rng: Random, severity: float) -> Person:
        """A random patient; the higher the severity, the more points by age."""
        points = level(rng, self.age.levels(), severity) if self.age else 0
        age = int(self.age.value(rng, points)) if self.age else rng.randint(*self.ages)
        sex = rng.choice(("man", "woman"))
        noun = sex if age >= 16 else {"man": "boy", "woman": "girl"}[sex]
        old = Finding("", self.age.judged("age", age), points) if self.age else None
        counted = self.male if sex == "man" else self.female
        born = None if counted is None else Finding("", noun, counted)
        # Ages that begin with a vowel sound: 8, 11, 18, 80 to 89.
        article = "an" if age in (8, 11, 18) or 80 <= age <= 89 else "a"
        text, order = rng.choice(
            (
                (f"{article} {age}-year-old {noun}", (old, born)),
                (f"{article} {age} year old {noun}", (old, born)),
                (f"a {noun} aged {age}", (born, old)),
                (f"a {noun} of {age}", (born, old)),
            )
        )
        return Person(text + rng.choice(self.settings), sex, tuple(finding for finding in order if finding))


@dataclass(frozen=True)
class Newborns:
    """Those whom a score for newborns is for, told apart by things that no score counts."""

    rules: ClassVar[tuple[str, ...]] = ()

    def draw(self, rng: Random, severity: float) -> Person:
        """A random newborn; its severity changes nothing here."""
        sex = rng.choice(("boy", "girl"))
        weeks, minute = rng.randint(35, 41), rng.choice((1, 5))
        grams = rng.randrange(2300 + (weeks - 35) * 100, 3300 + (weeks - 35) * 150, 10)
        text = rng.choice(
            (
                f"a {grams} g newborn {sex} at {minute} min",
                f"a baby {sex} of {weeks} weeks at minute {minute}",
                f"a {weeks}-week newborn of {grams} g at minute {minute}",
                f"a {sex} born at {weeks} weeks weighing {grams} g",
            )
        )
        return Person(text, sex)


def level(rng: Random, levels: tuple[float, ...], severity: float) -> float:
    """Points that an item can give; with a uniform severity per patient, totals spread evenly."""
    return levels[sum(rng.random() < severity for _ in levels[1:])]
