"""The statistics of two sets of answers: differences, intervals, p-values, verdicts.

Every question is graded twice, before and after the fine-tune, so everything here is paired. Right/wrong gets the exact
McNemar test and Tango's score interval, numbers get a sign-flip test and a bootstrap-t interval, several evaluation
sets get Holm's correction. Where questions share a vignette or a patient, whole groups of them are flipped and drawn.
Results depend on the values and the seed alone, not on the order of the questions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from stages.evaluate.groups import Groups, by_group, effective, spread

ALPHA = 0.05
RESAMPLES = 9_999
# In questions. Tango's own interval (0) covers as little as 92.4 % where nearly all flips go one way; with an eighth
# the least exact coverage found over n = 20 to 2,000 is 93.4 %. McNemar's whole question would push it past 98 %.
CONTINUITY = 0.125
# Of a lognormal with sigma 1.2, the widened bootstrap-t alone covers 92.9 % with 30 questions; with this share, 93.7 %.
TAIL = 0.75

Scores = Sequence[bool] | Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Paired:
    """One comparison of n questions; all but n and p_value in the scores' unit (shares of 1)."""

    n: int
    before: float
    after: float
    diff: float
    ci_low: float
    ci_high: float
    p_value: float


def paired(before: Scores, after: Scores, *, seed: int, groups: Groups = None) -> Paired:
    """Compare two gradings of n questions, both of shape (n,), both booleans or both floats.

    diff is mean(after) - mean(before), its interval has 95 %, and p_value is two-sided for "no difference". Where p is
    above 0.05 the interval is widened to hold 0, which the test does not reject.

    Booleans: `score_interval` and the exact McNemar test (1947, Psychometrika 12:153-157); the seed is not used. In
    groups, the interval has the counts divided by their design effect, and the test flips the signs of whole groups.

    Floats: the sign-flip test of the mean difference (Fisher 1935, The Design of Experiments, section 21), exact where
    the fine-tune changed nothing; and the bootstrap-t over questions or groups (Efron 1981, Canadian Journal of
    Statistics 9:139-172) at the widened level of Hesterberg (2015), The American Statistician 69:371-386, and `TAIL` of
    it, never inside Student's interval. Where all differences are equal (n = 1 too) the interval is that value and
    knows nothing of the spread.

    Raises ValueError for no questions, unequal lengths or values that are not finite, and TypeError for anything but
    booleans or floats: of 0/1 integers, either could be meant.
    """
    before, after = checked(before, after, groups)
    n, differences = len(before), np.subtract(after, before, dtype=float)
    diff = math.fsum(differences) / n
    # Turned to the positive side, and sorted: the order of the questions and of the two arms then draws alike.
    sign = -1.0 if diff < 0 else 1.0
    values, flipped = (np.sort(sign * one) for one in by_group(differences, groups))
    if before.dtype == bool:
        gains, losses = int((differences > 0).sum()), int((differences < 0).sum())
        share, alpha = effective(differences, groups, ALPHA)
        low, high = score_interval(gains * share, losses * share, n * share, level=1 - alpha)
        if groups is None:
            p_value = float(mcnemar([[n - gains - losses, losses], [gains, 0]], exact=True).pvalue)
        else:
            p_value = _sign_flips(flipped, _draws(len(flipped), seed))
    else:
        low, high, p_value = _resampled(values, flipped, sign * diff, seed)
        low, high = (low, high) if sign > 0 else (-high, -low)
    if p_value > ALPHA:
        low, high = min(low, 0.0), max(high, 0.0)
    return Paired(n, math.fsum(before) / n, math.fsum(after) / n, diff, low, high, p_value)


def score_interval(
    gains: float, losses: float, n: float, *, level: float = 0.95, continuity: float = CONTINUITY
) -> tuple[float, float]:
    """Interval in [-1, 1] for (gains - losses) / n, a difference of two paired proportions.

    Tango (1998), Statistics in Medicine 17:891-908, equations 24 to 26: every difference that a score test does not
    reject. `continuity` questions come off the distance |gains - losses - n * difference| (Chang et al. 2024, Journal
    of Applied Statistics 51:139-152); 0 is Tango's own. Raises ValueError for counts that n questions cannot give.
    """
    if n < 1 - 1e-9 or gains < 0 or losses < 0 or gains + losses > n + 1e-9:
        raise ValueError(f"{n} questions cannot have {gains} gains and {losses} losses")
    z = float(stats.norm.isf((1 - level) / 2))
    return -_upper_limit(losses, gains, n, z, continuity), _upper_limit(gains, losses, n, z, continuity)


def wilson(successes: float, n: float, alpha: float = ALPHA) -> tuple[float, float]:
    """Interval of a rate, in shares of 1 (Wilson 1927, JASA 22:209-212), or ValueError."""
    if n < 1 - 1e-9 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no rate")
    low, high = proportion_confint(successes, n, alpha=alpha, method="wilson")
    return float(low), float(high)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected by Holm (1979, Scand. J. Statist. 6:65-70); ValueError outside [0, 1]."""
    if not all(0 <= p_value <= 1 for p_value in p_values.values()):
        raise ValueError(f"a p-value is outside of [0, 1]: {dict(p_values)}")
    corrected = multipletests(list(p_values.values()), method="holm")[1] if p_values else []
    return dict(zip(p_values, map(float, corrected), strict=True))


def verdict(ci_low: float, ci_high: float, corrected_p: float, alpha: float = ALPHA) -> str:
    """`better` or `worse` where both the interval and p say so, else `no difference shown`."""
    if corrected_p <= alpha and ci_low > 0:
        return "better"
    if corrected_p <= alpha and ci_high < 0:
        return "worse"
    return "no difference shown"


def checked(before: Scores, after: Scores, groups: Groups = None) -> tuple[np.ndarray, np.ndarray]:
    """Both gradings as arrays. Raises as `paired` does."""
    before, after = np.asarray(before), np.asarray(after)
    if before.ndim != 1 or before.shape != after.shape:
        raise ValueError(f"before has shape {before.shape}, after {after.shape}: one score a question is needed")
    if groups is not None and len(groups) != len(before):
        raise ValueError(f"{len(before)} questions have {len(groups)} groups: one a question is needed")
    if len(before) == 0:
        raise ValueError("there are no questions to compare")
    if before.dtype.kind + after.dtype.kind not in ("bb", "ff"):
        raise TypeError(f"before is {before.dtype}, after {after.dtype}: both booleans or both floats are needed")
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise ValueError("a score is not a finite number")
    return (before, after) if before.dtype == bool else (before.astype(float), after.astype(float))


def _upper_limit(gains: float, losses: float, n: float, z: float, continuity: float) -> float:
    if gains - losses + continuity >= n:
        return 1.0

    def excess(difference: float) -> float:
        distance = max(n * difference - (gains - losses) - continuity, 0.0)
        if distance == 0:
            return -z
        b = (2 * n - gains + losses) * difference - gains - losses
        root = math.sqrt(b * b + 8 * n * losses * difference * (1 - difference))
        loss_rate = max((root - b) / (4 * n), -difference, 0.0)
        return distance / math.sqrt(n * (2 * loss_rate + difference * (1 - difference))) - z

    return float(brentq(excess, (gains - losses) / n, 1 - 1e-12, xtol=1e-12))


def _resampled(values: np.ndarray, flipped: np.ndarray, mean: float, seed: int) -> tuple[float, float, float]:
    n, deviation = len(values), spread(values)
    if deviation == 0:
        return mean, mean, 1.0 if mean == 0 else 2 * 0.5**n

    def pivot(sample: np.ndarray, axis: int) -> np.ndarray:
        # With few differences other than 0, a resample may hold none: divided by its spread, the limits explode.
        return (sample.mean(axis) - mean) / np.maximum(sample.std(axis, ddof=1), deviation / math.sqrt(n))

    draws = _draws(n, seed)
    p_value = _sign_flips(flipped, draws)
    draws |= {"confidence_level": 1 - 2 * bootstrap_tail(n), "method": "percentile"}
    low, high = stats.bootstrap((values,), pivot, **draws).confidence_interval
    student = float(stats.t.isf(ALPHA / 2, n - 1)) / math.sqrt(n)
    return float(mean - deviation * max(high, student)), float(mean + deviation * max(-low, student)), p_value


def _draws(n: int, seed: int) -> dict[str, Any]:
    return {"n_resamples": RESAMPLES, "batch": max(1, 1_000_000 // n), "rng": np.random.default_rng(seed)}


def _sign_flips(values: np.ndarray, draws: dict[str, Any]) -> float:
    if len(values) == 1:
        return 1.0
    test = stats.permutation_test((values,), np.mean, permutation_type="samples", vectorized=True, **draws)
    return float(test.pvalue)


def bootstrap_tail(n: int) -> float:
    """The share of resamples beyond each limit of the bootstrap-t."""
    return TAIL * float(stats.norm.sf(math.sqrt(n / (n - 1)) * stats.t.isf(ALPHA / 2, n - 1)))
