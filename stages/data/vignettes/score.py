"""A score: its name, its source, its patients, what it counts and what it does not."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from stages.data.vignettes.measures import Number, Pressure, grid
from stages.data.vignettes.people import Newborns, Patients
from stages.data.vignettes.signs import SKIP, Choice, Finding, Flag


@dataclass(frozen=True)
class Either:
    """A criterion that can be met in several ways, of which a vignette states one."""

    ways: tuple[Flag | Choice | Number, ...]

    @property
    def name(self) -> str:
        """The name of its first way."""
        return self.ways[0].name

    @property
    def rule(self) -> str:
        """What each way gives, in the words of the score sheet."""
        return " or ".join(way.rule for way in self.ways)

    def levels(self) -> tuple[float, ...]:
        """The points that it may give, the lowest first."""
        return tuple(sorted({points for way in self.ways for points in way.levels()}))

    def draw(self, rng: Random, points: float) -> Finding:
        """A finding that gives these points, in one of the ways that can."""
        return rng.choice([way for way in self.ways if points in way.levels()]).draw(rng, points)


Item = Flag | Choice | Number | Pressure | Either


@dataclass(frozen=True)
class Reading:
    """A measurement that the score at hand does not count."""

    forms: tuple[str, ...]
    unit: str
    low: float
    high: float
    decimals: int = 0

    def draw(self, rng: Random) -> Finding:
        """A finding that gives nothing, whatever its value."""
        shown = f"{rng.choice(self.forms)} {grid(rng, self.low, self.high, self.decimals):.{self.decimals}f}"
        return Finding(shown + self.unit, shown + SKIP)


@dataclass(frozen=True)
class Score:
    """A published score; `labels` are its names in questions, the first also in answers."""

    name: str
    labels: tuple[str, ...]
    source: str
    patients: Patients | Newborns
    items: tuple[Item, ...]
    distractors: tuple[str | Reading, ...]
    complete: bool = False  # every item is stated, since none can be taken as absent
    plausible: Callable[[dict[str, float]], bool] | None = None

    @property
    def rules(self) -> str:
        """The score sheet in a line: what counts, from where on, and how much."""
        return ", ".join((*self.patients.rules, *(item.rule for item in self.items)))

    def item(self, name: str) -> Item:
        """The item of that name."""
        return next(item for item in self.items if item.name == name)
