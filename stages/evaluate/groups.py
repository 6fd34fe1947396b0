"""Questions that share a vignette or a patient: their values by group, and as how many questions they count."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

Groups = Sequence[str] | None  # a label a question; None where each question stands alone


def by_group(values: np.ndarray, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """A value a group, twice, with the mean of all questions: to be drawn, and to have its sign flipped.

    A mean of groups of several sizes is a ratio. What is drawn is linear in it: the mean, and by how much a group's sum
    differs from its size times the mean (Cochran 1977, Sampling techniques, chapter 9A).
    """
    if groups is None:
        return values, values
    labels = np.unique(np.asarray(groups), return_inverse=True)[1]
    sizes = np.bincount(labels)
    # Exact sums: neither the order of the questions nor that of the arms changes a digit.
    sums = np.array([math.fsum(values[labels == one]) for one in range(len(sizes))])
    mean, size = math.fsum(values) / len(values), len(values) / len(sizes)
    return mean + (sums - mean * sizes) / size, sums / size


def effective(values: np.ndarray, groups: Groups, alpha: float) -> tuple[float, float]:
    """As which share of them n questions in groups count, and the alpha that gives t's quantile for z's.

    1 over the design effect, at most 1 (Rao and Scott 1992, Biometrics 48:577-585): how much less the mean would vary
    if questions, not whole groups, were drawn. Groups that are all alike count as one question each.
    """
    if groups is None:
        return 1.0, alpha
    drawn, n = by_group(values, groups)[0], len(values)
    share = spread(values) ** 2 / n / (spread(drawn) ** 2 / len(drawn)) if spread(drawn) else len(drawn) / n
    return min(1.0, max(share, 1 / n)), 2 * float(stats.norm.sf(stats.t.isf(alpha / 2, max(2, len(drawn) - 1))))


def spread(values: np.ndarray) -> float:
    """The standard deviation; exactly 0 where all values are equal."""
    return float(np.std(values, ddof=1)) if np.ptp(values) else 0.0
