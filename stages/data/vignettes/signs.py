"""Findings, and the worded items of a score: present or absent, or with grades.

An item, worded or measured, says which points it may give (`levels`), judges a finding that is given (`points`), and
draws one that gives certain points (`draw`). So a score is data alone: see the files named by field beside this one.
"""

from dataclasses import dataclass
from random import Random

SKIP = ", not scored"


@dataclass(frozen=True)
class Finding:
    """One finding: as the vignette words it, as the reasoning judges it, and its points."""

    text: str
    judged: str
    points: float = 0


@dataclass(frozen=True)
class Flag:
    """A criterion that is there or not; `near` are look-alikes that do not meet it."""

    present: tuple[str, ...]
    score: float = 1
    absent: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    only: str = ""  # "man" or "woman", where the finding makes sense in one sex alone

    @property
    def name(self) -> str:
        """The first way to say that it is there."""
        return self.present[0]

    @property
    def negatives(self) -> tuple[str, ...]:
        """The ways to say that it is not there."""
        return self.absent or tuple(f"no {text}" for text in self.present[:2])

    @property
    def rule(self) -> str:
        """What it gives, in the words of the score sheet."""
        return f"{self.name} ({self.score:g})"

    def levels(self) -> tuple[float, ...]:
        """The points that it may give, the lowest first."""
        return tuple(sorted((0, self.score)))

    def points(self, text: str) -> float:
        """What a finding gives. Raises ValueError for one that is not among its own."""
        if text in self.present:
            return self.score
        if text in self.negatives + self.near:
            return 0
        raise ValueError(self.name, text)

    def draw(self, rng: Random, points: float) -> Finding:
        """A finding that gives these points."""
        if points:
            text = rng.choice(self.present)
            return Finding(text, text, points)
        if self.near and rng.random() < 0.4:
            text = rng.choice(self.near)
            return Finding(text, text + SKIP)
        text = rng.choice(self.negatives)
        return Finding(text, text)


@dataclass(frozen=True)
class Choice:
    """A criterion with worded grades, each of which gives its own points."""

    name: str
    grades: tuple[tuple[float, tuple[str, ...]], ...]

    @property
    def rule(self) -> str:
        """What each grade gives, in the words of the score sheet."""
        return " / ".join(f"{texts[0]} ({points:g})" for points, texts in self.grades)

    def levels(self) -> tuple[float, ...]:
        """The points that it may give, the lowest first."""
        return tuple(sorted(points for points, _ in self.grades))

    def points(self, text: str) -> float:
        """What a finding gives. Raises ValueError for one that is not among its own."""
        for points, texts in self.grades:
            if text in texts:
                return points
        raise ValueError(self.name, text)

    def draw(self, rng: Random, points: float) -> Finding:
        """A finding of the grade with these points."""
        text = rng.choice(dict(self.grades)[points])
        return Finding(text, text, points)
