"""How often the statistics are wrong, by simulation: false alarms, coverage and power, as tables.

usage: python -m tests.benchmarks.simulations [seeds | looks | samples] ...          (all: some minutes)

Answers are right or wrong. A latent difficulty makes a question's answers alike, over arms and seeds.
"""

import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

import numpy as np
from scipy.stats import norm

from stages.evaluate import statistics
from stages.evaluate.statistics import paired, verdict
from stages.experiments.seeds import recipe

RUNS = 400
NONE = "no difference shown"
Draw = np.random.Generator
Values = np.ndarray


def print_table(head: str, rows: Iterator[list[str]]) -> None:
    """Print Markdown, line by line."""
    print(f"\n| {head} |\n|{' --- |' * (head.count('|') + 1)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def percent(*shares: float) -> str:
    """The mean, and the range where there are several."""
    spread = f" ({100 * min(shares):.1f} to {100 * max(shares):.1f})"
    return f"{100 * np.mean(shares):.1f}" + spread * (len(shares) > 1)


# Training seeds


def seed_rates(draw: Draw, mean: float, sd: float, seeds: int) -> Values:
    """True rates of so many seeds, from a beta distribution."""
    spread = mean * (1 - mean) / sd**2 - 1 if sd else 0.0
    return draw.beta(mean * spread, (1 - mean) * spread, seeds) if sd else np.full(seeds, mean)


def seed_differences(draw: Draw, seeds: int, n: int, before: float, after: float, sd: float, size: int = 1) -> Values:
    """Differences of shape (seeds, n) for rates in the mean over all questions and seeds; groups of one size."""
    hardness = (np.repeat(draw.normal(size=n // size), size) + draw.normal(size=n)) / np.sqrt(2)

    def right(rates: Values) -> Values:
        return np.sqrt(0.4) * hardness + np.sqrt(0.6) * draw.normal(size=(len(rates), n)) < norm.ppf(rates)[:, None]

    rates = np.clip(seed_rates(draw, after, sd, seeds), 1e-12, 1 - 1e-12)
    return right(rates).astype(float) - right(np.array([before]))


def hierarchical_bootstrap(draw: Draw, differences: Values, resamples: int = 200) -> tuple[float, float]:
    """The plain percentile interval: seeds drawn with replacement, then questions."""
    seeds, n = differences.shape
    by_seed = draw.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
    questions = draw.integers(n, size=(resamples, n))
    low, high = np.quantile(np.take_along_axis(by_seed @ differences, questions, axis=1).mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def seeds_cell(seeds: int, n: int, sd: float, base: float, size: int = 1, runs: int = RUNS) -> dict[str, float]:
    """Shares of runs: wrong verdicts where nothing changed; true gain of 0.15 covered, shown; next seed covered."""
    draw = np.random.default_rng([seeds, n, int(1000 * sd), int(10 * base), size])
    groups = None if size == 1 else [str(i // size) for i in range(n)]
    gain = 0.15 if base < 0.8 else -0.15
    found = dict.fromkeys(("alarms", "bootstrap", "covered", "next", "shown"), 0.0)
    for run in range(runs):
        null = seed_differences(draw, seeds, n, base, base, sd, size)
        found["alarms"] += recipe(null, groups).verdict != NONE
        if run < runs // 4:
            low, high = hierarchical_bootstrap(draw, null)
            found["bootstrap"] += 4 * (not low <= 0 <= high)
        more = seed_differences(draw, seeds + 1, n, base, base + gain, sd, size)
        result = recipe(more[1:], groups)
        found["covered"] += result.ci_low <= gain <= result.ci_high
        found["shown"] += result.verdict == ("better" if gain > 0 else "worse")
        found["next"] += result.next_low <= more[0].mean() <= result.next_high
    return {name: count / runs for name, count in found.items()}


def seeds_rows() -> Iterator[list[str]]:
    """For each number of seeds and spread; mean and range over the numbers of questions and the base rates."""
    for seeds, sd in product((3, 5, 10), (0.0, 0.02, 0.045, 0.1)):
        for bases in [(0.1, 0.9), (0.5,)] if sd == 0.1 else [(0.1, 0.5, 0.9)]:
            yield seeds_row(seeds, sd, [seeds_cell(seeds, n, sd, b) for n in (30, 100, 500) for b in bases], bases)
    for seeds in (3, 5, 10):
        cells = [seeds_cell(seeds, n, 0.045, b, size=4) for n in (60, 100, 500) for b in (0.1, 0.5, 0.9)]
        yield seeds_row(seeds, 0.045, cells, ("groups of 4",))


def seeds_row(seeds: int, sd: float, cells: list[dict[str, float]], bases: tuple) -> list[str]:
    """One line of the table; power is for a change of 0.15."""
    columns = [percent(*values) for values in zip(*(cell.values() for cell in cells), strict=True)]
    return [str(seeds), str(sd), ", ".join(map(str, bases)), *columns]


# The best of several configurations


@cache
def compared(gains: int, losses: int, n: int) -> tuple[float, float, float]:
    """Interval and p of so many flips."""
    before = [i >= gains for i in range(gains + losses)] + [True] * (n - gains - losses)
    result = paired(before, [i < gains or i >= gains + losses for i in range(n)], seed=0)
    return result.ci_low, result.ci_high, result.p_value


def says(before: Values, after: Values, looks: int) -> str:
    """The verdict with p times `looks`."""
    low, high, p_value = compared(int((after & ~before).sum()), int((before & ~after).sum()), len(before))
    return verdict(low, high, min(1.0, p_value * looks))


def looks_row(n: int, alike: float, gain: float, count: int = 10, runs: int = 3 * RUNS) -> list[str]:
    """The best of `count` neighbouring configurations, whose answers' latents correlate by alike ** distance."""
    draw, base = np.random.default_rng([n, int(100 * alike), int(100 * gain)]), 0.4
    distance = abs(np.subtract.outer(np.arange(count), np.arange(count)))
    root = np.linalg.cholesky(alike**distance + 1e-9 * np.eye(count))
    found = np.zeros(3)
    for _ in range(runs):
        hardness = np.sqrt(0.5) * draw.normal(size=n)
        before = hardness + np.sqrt(0.5) * draw.normal(size=n) < norm.ppf(base)
        rates = base + gain * (1 - abs(np.arange(count) - count // 2) / count)
        after = hardness + np.sqrt(0.5) * (root @ draw.normal(size=(count, n))) < norm.ppf(rates)[:, None]
        best = after[after.sum(axis=1).argmax()]
        found += [says(before, best, 1) == "better", says(before, best, count) == "better", False]
        found[2] += any(says(before, one, look) == "better" for look, one in enumerate(after, start=1))
    return [str(n), str(alike), str(gain), *map(percent, found / runs)]


def looks_rows() -> Iterator[list[str]]:
    """No gain at all, then gains whose best is in the middle."""
    for gain, n, alike in product((0.0, 0.15, 0.25), (100, 400), (0.5, 0.9, 0.99)):
        yield looks_row(n, alike, gain)


# Means of k samples


def samples_row(name: str, shape: tuple[float, float], n: int, k: int, size: int = 1) -> list[str]:
    """False alarms where each question's chance is drawn anew, coverage and power for a true gain of 0.1."""
    draw = np.random.default_rng([n, k, size, int(10 * shape[0])])
    groups = None if size == 1 else [str(i // size) for i in range(n)]
    runs = max(100, min(RUNS, 20_000 // n))
    found = np.zeros(4)
    for seed in range(runs):
        before = np.repeat(draw.beta(*shape, n // size), size)
        fresh = np.repeat(draw.random(n // size) < 0.5, size)
        same = np.where(fresh, np.repeat(draw.beta(*shape, n // size), size), before)
        # Moved by a part of the way to 1: the mean gain is 0.1.
        gained = same + (1 - same) * 0.1 / (1 - shape[0] / sum(shape))
        first, none, more = (draw.binomial(k, chance) for chance in (before, same, gained))
        result = paired(first / k, none / k, seed=seed, groups=groups)
        found[0] += verdict(result.ci_low, result.ci_high, result.p_value) != NONE
        result = paired(first / k, more / k, seed=seed, groups=groups)
        found[1] += result.ci_low <= 0.1 <= result.ci_high
        found[2] += verdict(result.ci_low, result.ci_high, result.p_value) == "better"
        single = [draw.random(n) < chance for chance in (before, gained)]
        result = paired(*single, seed=seed, groups=groups)
        found[3] += verdict(result.ci_low, result.ci_high, result.p_value) == "better"
    return [name, str(n), "-" if groups is None else str(n // size), str(k), *map(percent, found / runs), str(runs)]


def samples_rows() -> Iterator[list[str]]:
    """Chances that pile up at 0 and 1, are even, or are mostly small."""
    statistics.RESAMPLES = 999
    shapes = {"U (0.2, 0.2)": (0.2, 0.2), "even (1, 1)": (1.0, 1.0), "small (0.3, 2)": (0.3, 2.0)}
    for (name, shape), (n, k) in product(shapes.items(), [*product((20, 60, 200), (2, 8, 64)), (500, 4)]):
        yield samples_row(name, shape, n, k)
    for (name, shape), n, k in product(shapes.items(), (60, 200), (4, 64)):
        yield samples_row(name, shape, n, k, size=4)


TABLES: dict[str, tuple[str, Callable[[], Iterator[list[str]]]]] = {
    "seeds": (
        "seeds | their SD | base rates | false alarms % | bootstrap's % | coverage % | one more seed % | power %",
        seeds_rows,
    ),
    "looks": (
        "n | neighbours alike | best gain | best of 10 % | with p times 10 % | stopped at the first %",
        looks_rows,
    ),
    "samples": (
        "chances | n | groups | k | false alarms % | coverage % | power % | of one answer % | runs",
        samples_rows,
    ),
}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or TABLES:
        head, rows = TABLES[chosen]
        print_table(head, rows())
