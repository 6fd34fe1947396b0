"""The measured items of a score: bands of numbers, a number in them, and a blood pressure."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from stages.data.vignettes.signs import Finding

EDGE_SHARE = 0.1  # share of numbers put at an end of their band, where strictness shows


@dataclass(frozen=True)
class Band:
    """An interval that gives the same points: its test in words, the ends to draw between."""

    test: str
    score: float
    low: float
    high: float
    holds: Callable[[float], bool]


def below(bound: float, score: float, least: float) -> Band:
    """Numbers under the bound, drawn from `least` up."""
    return Band(f"< {bound:g}", score, least, bound, lambda value: value < bound)


def at_most(bound: float, score: float, least: float) -> Band:
    """Numbers up to the bound and the bound itself, drawn from `least` up."""
    return Band(f"<= {bound:g}", score, least, bound, lambda value: value <= bound)


def above(bound: float, score: float, most: float) -> Band:
    """Numbers over the bound, drawn up to `most`."""
    return Band(f"> {bound:g}", score, bound, most, lambda value: value > bound)


def at_least(bound: float, score: float, most: float, least: float | None = None) -> Band:
    """The bound and over, drawn up to `most`; `least` avoids a bound on which versions differ."""
    return Band(f">= {bound:g}", score, bound if least is None else least, most, lambda value: value >= bound)


def between(low: float, high: float, score: float, most: float | None = None) -> Band:
    """Numbers from low to high, both included; `most` avoids the upper bound."""
    return Band(f"in {low:g}-{high:g}", score, low, high if most is None else most, lambda value: low <= value <= high)


@dataclass(frozen=True)
class Number:
    """A measured criterion, with bands that together cover every value."""

    forms: tuple[str, ...]
    unit: str
    bands: tuple[Band, ...]
    decimals: int = 0

    @property
    def name(self) -> str:
        """The first of its forms."""
        return self.forms[0]

    @property
    def rule(self) -> str:
        """What the bands that count give, in the words of the score sheet."""
        return f"{self.name} " + " / ".join(f"{band.test} ({band.score:g})" for band in self.bands if band.score)

    def levels(self) -> tuple[float, ...]:
        """The points that it may give, the lowest first."""
        return tuple(sorted({band.score for band in self.bands}))

    def band(self, value: float) -> Band:
        """The band of a value."""
        return next(band for band in self.bands if band.holds(value))

    def points(self, value: float) -> float:
        """What a value gives."""
        return self.band(value).score

    def value(self, rng: Random, points: float) -> float:
        """A value that gives these points."""
        band = rng.choice([band for band in self.bands if band.score == points])
        value = rng.choice((band.low, band.high)) if rng.random() < EDGE_SHARE else None
        while value is None or not band.holds(value):
            value = grid(rng, band.low, band.high, self.decimals)
        return value

    def draw(self, rng: Random, points: float) -> Finding:
        """A finding that gives these points, with the test that its value passes."""
        form, value = rng.choice(self.forms), self.value(rng, points)
        return Finding(f"{form} {value:.{self.decimals}f}{self.unit}", self.judged(form, value), points)

    def judged(self, form: str, value: float) -> str:
        """A value with the test that it passes."""
        return f"{form} {value:.{self.decimals}f} {self.band(value).test}"


@dataclass(frozen=True)
class Pressure:
    """A blood pressure that gives its points once, by the systolic or the diastolic test."""

    systolic: Band
    diastolic: Band
    otherwise: str
    ranges: tuple[tuple[int, int], tuple[int, int]]
    forms: tuple[str, ...] = ("BP", "blood pressure")
    name: str = "BP"

    @property
    def rule(self) -> str:
        """What it gives, in the words of the score sheet."""
        return f"{self.name} systolic {self.systolic.test} or diastolic {self.diastolic.test} ({self.systolic.score:g})"

    def levels(self) -> tuple[float, ...]:
        """The points that it may give, the lowest first."""
        return (0, self.systolic.score)

    def points(self, value: tuple[int, int]) -> float:
        """What a systolic and a diastolic pressure give together."""
        return self.systolic.score if self.systolic.holds(value[0]) or self.diastolic.holds(value[1]) else 0

    def test(self, value: tuple[int, int]) -> str:
        """The first test that the pair passes; one is enough."""
        if self.systolic.holds(value[0]):
            return f"systolic {self.systolic.test}"
        return f"diastolic {self.diastolic.test}" if self.diastolic.holds(value[1]) else self.otherwise

    def draw(self, rng: Random, points: float) -> Finding:
        """A finding that gives these points, with the test that it passes."""
        value = (0, 0)
        # A pulse pressure of 25 to 75 keeps the pair possible.
        while not 25 <= value[0] - value[1] <= 75 or self.points(value) != points:
            value = (rng.randint(*self.ranges[0]), rng.randint(*self.ranges[1]))
        shown = f"{rng.choice(self.forms)} {value[0]}/{value[1]}"
        return Finding(f"{shown} mmHg", f"{shown} {self.test(value)}", points)


def grid(rng: Random, low: float, high: float, decimals: int) -> float:
    """Draw a number with so many decimals, ends included."""
    scale = 10**decimals
    return rng.randint(round(low * scale), round(high * scale)) / scale
