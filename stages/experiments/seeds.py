"""The recipe over training seeds: what it gains on the whole, how far seeds spread, what one more may give.

Every seed answers the same questions, so seeds and questions are crossed, and both are drawn at random.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.optimize import brentq

from stages.evaluate.groups import Groups, by_group, spread
from stages.evaluate.statistics import ALPHA, verdict

LEAST_P = 1e-15


@dataclass(frozen=True)
class Recipe:
    """n questions, each answered by all seeds; all but seeds, n, p_value and verdict in shares of 1."""

    seeds: int
    n: int
    diff: float
    ci_low: float
    ci_high: float
    p_value: float
    verdict: str
    sd: float
    """The standard deviation of the seeds' rates."""
    own_sd: float
    """What of it is the seed's own: the rest is chance of answers to so few questions."""
    next_low: float
    """Where one more seed's difference on these questions lies with 95 %."""
    next_high: float


def recipe(differences: Sequence[Sequence[float]] | np.ndarray, groups: Groups = None) -> Recipe:
    """Compare after - before, in [-1, 1] and of shape (seeds, questions), over seeds and questions alike.

    Two-way random effects without interaction, by mean squares of seeds, questions and residual (Searle, Casella and
    McCulloch 1992, Variance components, section 4.5). The variance of the mean is (seeds + questions - residual) /
    (n * seeds), at least what each of the three alone gives. Satterthwaite's degrees of freedom (1946, Biometrics
    Bulletin 2:110-114) reject too often with three seeds: the quantile is the mean of Student's with seeds - 1 and with
    n - 1, weighted by the parts of the variance (Cochran and Cox 1957, Experimental designs, section 4.14), which errs
    on the safe side (Mickey and Brown 1966, Annals of Mathematical Statistics 37:639-642). One gain and one loss of all
    seeds are added, as Bonett and Price (2012, J. Educational and Behavioral Statistics 37:479-488) do for one pair of
    proportions: few flips are no proof of a small spread.

    One more seed: Student's prediction interval of the seeds' rates. Groups, not questions, are drawn where there are
    some. Raises ValueError for fewer than two seeds or two questions (or groups), or values outside of [-1, 1].
    """
    values = np.asarray(differences, dtype=float)
    if values.ndim != 2 or not (abs(values) <= 1).all():
        raise ValueError(f"differences of shape {values.shape}: a row a seed of values in [-1, 1] is needed")
    if groups is not None and len(groups) != values.shape[1]:
        raise ValueError(f"{values.shape[1]} questions have {len(groups)} groups: one a question is needed")
    drawn = np.array([by_group(row, groups)[0] for row in values])
    if min(drawn.shape) < 2:
        raise ValueError(f"{drawn.shape[0]} seeds and {drawn.shape[1]} questions or groups: two of each are needed")
    (seeds, count), n = drawn.shape, values.shape[1]
    rates = np.array([math.fsum(row) / n for row in values])
    diff, sd, chance = math.fsum(rates) / seeds, spread(rates), _mean_squares(drawn)[2] / count
    low, high, p_value = _interval(np.column_stack([drawn, np.ones(seeds), -np.ones(seeds)]))
    low, high = max(-1.0, min(low, diff)), min(1.0, max(high, diff))
    step = -special.stdtrit(seeds - 1, ALPHA / 2) * math.sqrt(max(sd**2, chance) * (1 + 1 / seeds))
    own = math.sqrt(max(sd**2 - chance, 0.0))
    following = max(-1.0, diff - step), min(1.0, diff + step)
    return Recipe(seeds, n, diff, low, high, p_value, verdict(low, high, p_value), sd, own, *map(float, following))


def _mean_squares(values: np.ndarray) -> tuple[float, float, float]:
    """Of the seeds (rows), of the questions (columns), of the residual."""
    (seeds, n), of_seeds, of_questions = values.shape, values.mean(axis=1), values.mean(axis=0)
    rest = values - of_seeds[:, None] - of_questions + values.mean()
    residual = float((rest**2).sum()) / ((seeds - 1) * (n - 1))
    return n * float(of_seeds.var(ddof=1)), seeds * float(of_questions.var(ddof=1)), residual


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean's 95 % interval, and p for a mean of 0."""
    (seeds, n), mean = values.shape, float(values.mean())
    seed, question, residual = _mean_squares(values)
    rest = max(question - min(seed, residual), residual - seed, 0.0)

    def half(p_value: float) -> float:
        weighted = -seed * special.stdtrit(seeds - 1, p_value / 2) - rest * special.stdtrit(n - 1, p_value / 2)
        return float(weighted / math.sqrt((seed + rest) * n * seeds))

    beyond = abs(mean) >= half(LEAST_P)
    p_value = LEAST_P if beyond else float(brentq(lambda chance: half(chance) - abs(mean), LEAST_P, 1.0))
    return mean - half(ALPHA), mean + half(ALPHA), p_value
