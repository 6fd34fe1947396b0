"""How small a difference so many questions could have shown."""

import math
from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from statsmodels.stats.power import TTestPower

from stages.evaluate.groups import Groups, by_group, effective, spread
from stages.evaluate.statistics import ALPHA, Scores, bootstrap_tail, checked

POWER = 0.8


def smallest_difference(before: Scores, after: Scores, *, comparisons: int = 1, groups: Groups = None) -> float | None:
    """Smallest true difference shown in 80 % of runs of n questions, in the unit of the scores.

    It holds for the hardest case of Holm over `comparisons` sets. None where nothing could be shown (five questions or
    groups, say) or, for floats outside of [0, 1], where all differences are equal and the spread is unknown.

    Booleans: unconditional power of the exact test (Duffy 1984, Biometrics 40:1005-1015), where the flips seen are
    churn that goes both ways alike and the difference comes on top; in groups, for as many questions as they count.
    Floats: power of the t-test at the spread seen, for differences that spread alike to both sides. In [0, 1] they are
    shares of samples: the difference comes on top as whole questions gained. Raises as `statistics.paired` does.
    """
    before, after = checked(before, after, groups)
    differences, alpha = np.subtract(after, before, dtype=float), ALPHA / comparisons
    values = by_group(differences, groups)[0]
    n, boolean = len(values), before.dtype == bool
    counted = int(len(before) * effective(differences, groups, ALPHA)[0]) if boolean else n
    if 2 * 0.5 ** min(n, counted) > alpha:
        return None
    if boolean:
        power = _mcnemar_power(float((before != after).mean()), counted, alpha)
        return float(brentq(lambda difference: power(difference) - POWER, 1e-9, 1.0))
    # The interval asks for more than a t-test does; measured, the widened level and two questions make up for it.
    alpha, deviation = min(alpha, 2 * bootstrap_tail(n)), spread(values)
    effect = float(TTestPower().solve_power(nobs=n - 2, alpha=alpha, power=POWER))
    if not all(((scores >= 0) & (scores <= 1)).all() for scores in (before, after)):
        return deviation * effect or None
    # d = effect * sqrt(deviation**2 + on_top * d * (1 - d)), solved for d
    on_top = effect**2 * n / len(before) / effective(differences, groups, ALPHA)[0]
    found = (on_top + math.sqrt(on_top**2 + 4 * (1 + on_top) * (effect * deviation) ** 2)) / (2 + 2 * on_top)
    return found if found <= 1 else None


def _mcnemar_power(churn: float, n: int, alpha: float) -> Callable[[float], float]:
    flips = np.arange(n + 1)
    losses = stats.binom.ppf(alpha / 2, flips, 0.5)
    losses -= stats.binom.cdf(losses, flips, 0.5) > alpha / 2

    def power(difference: float) -> float:
        flip_rate = min(1.0, churn + difference)
        shown = stats.binom.cdf(losses, flips, (1 - difference / flip_rate) / 2)
        return float((stats.binom.pmf(flips, n, flip_rate) * shown).sum())

    return power
