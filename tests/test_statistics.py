"""The statistics keep their word: published values, error rates, coverage and power, by exact sums and simulation."""

import math
import os
import subprocess
import sys
import time
from functools import cache
from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, norm, sem, ttest_1samp
from scipy.stats import t as student

from stages.evaluate import statistics
from stages.evaluate.groups import effective
from stages.evaluate.power import smallest_difference
from stages.evaluate.statistics import holm, paired, score_interval, verdict, wilson

NONE = "no difference shown"
RATES = (0.02, 0.2, 0.5, 0.8, 0.98)
SHARES = (0.0, 0.01, 0.05, 0.2, 0.5, 0.9)
EXACT = (20, 60)
# A simulated share may miss its bound by chance alone; further than this it does once in a hundred honest tests.
CHANCE = 0.01


def answers(gains, losses, n):
    """Before and after, as booleans: the gains first, then the losses, then ties of both kinds."""
    ties = [i % 2 == 0 for i in range(n - gains - losses)]
    return [False] * gains + [True] * losses + ties, [True] * gains + [False] * losses + ties


@cache
def compared(gains, losses, n):
    result = paired(*answers(gains, losses, n), seed=0)
    return result.ci_low, result.ci_high, result.p_value, verdict(result.ci_low, result.ci_high, result.p_value)


@cache
def every_outcome(n):
    """All (gains, losses) of n questions with what `paired` and `verdict` make of them, as columns."""
    pairs = [(gains, losses) for gains in range(n + 1) for losses in range(n + 1 - gains)]
    return np.array(pairs), *map(np.array, zip(*(compared(*pair, n) for pair in pairs), strict=True))


def chances(n, gain_rate, loss_rate):
    """The probability of each of `every_outcome`."""
    gains, losses = every_outcome(n)[0].T
    flip_rate = min(1.0, gain_rate + loss_rate)
    share = gain_rate / flip_rate if flip_rate else 0.5
    return binom.pmf(gains + losses, n, flip_rate) * binom.pmf(gains, gains + losses, share)


def flip_rates():
    """(gain rate, loss rate) for each base rate: shares of the wrong answers gained and of the right ones lost."""
    for base, gained, lost in product(RATES, SHARES, SHARES):
        yield (1 - base) * gained, base * lost


def at_least(hits, runs, share):
    return hits >= binom.ppf(CHANCE, runs, share)


def at_most(hits, runs, share):
    return hits <= binom.isf(CHANCE, runs, share)


# Published values


@pytest.mark.parametrize(
    ("gains", "losses", "n", "level", "low", "high", "places"),
    [
        (0, 1, 44, 0.90, -0.096, None, 3),  # Tango 1998, section 6.1: soft contact lenses
        (1, 7, 21, 0.95, -0.517232, -0.026003, 6),  # Fagerland et al. 2014, airways; digits of R's ratesci
        (28, 25, 618, 0.90, -0.0148, 0.0247, 4),  # R's PropCIs, scoreci.mp(25, 28, 618, 0.90)
        (20, 60, 1000, 0.95, -0.0584, -0.0231, 4),  # R's PropCIs, scoreci.mp(60, 20, 1000, 0.95)
    ],
)
def test_without_correction_the_interval_is_tangos(gains, losses, n, level, low, high, places):
    found = score_interval(gains, losses, n, level=level, continuity=0)
    assert round(found[0], places) == low
    assert high is None or round(found[1], places) == high


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),  # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_values_and_their_mirror_images(successes, n, low, high):
    assert wilson(successes, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    mirrored = wilson(n - successes, n)
    assert mirrored == (pytest.approx(1 - high, abs=5e-5), pytest.approx(1 - low, abs=5e-5))
    assert 0 <= mirrored[0] <= mirrored[1] <= 1


def test_mcnemar_is_the_exact_binomial_test_of_the_flips():
    assert paired(*answers(1, 7, 21), seed=0).p_value == pytest.approx(18 / 256)
    for gains, losses in product(range(12), repeat=2):
        exact = binomtest(gains, gains + losses).pvalue if gains + losses else 1.0
        assert compared(gains, losses, 25)[2] == pytest.approx(exact)


def test_holm_multiplies_the_smallest_most_and_never_turns_the_order_round():
    assert holm({"b": 0.03, "a": 0.01, "c": 0.04}) == pytest.approx({"b": 0.06, "a": 0.03, "c": 0.06})
    assert list(holm({"b": 0.03, "a": 0.01})) == ["b", "a"]
    assert holm({"alone": 0.04}) == pytest.approx({"alone": 0.04})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


# Right and wrong


@pytest.mark.parametrize("continuity", [0, statistics.CONTINUITY])
@pytest.mark.parametrize(("gains", "losses", "n"), [(3, 1, 20), (0, 5, 30), (9, 9, 40), (40, 20, 160), (13, 3, 2000)])
def test_the_limits_are_where_the_score_test_stops_rejecting(gains, losses, n, continuity):
    def score(difference):
        def unlikely(loss_rate):
            rates = np.clip([loss_rate + difference, loss_rate, 1 - 2 * loss_rate - difference], 1e-300, 1)
            return -float(np.array([gains, losses, n - gains - losses]) @ np.log(rates))

        bounds = (max(0.0, -difference), (1 - difference) / 2)
        loss_rate = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
        distance = abs(gains - losses - n * difference) - continuity
        return distance / math.sqrt(n * (2 * loss_rate + difference - difference**2))

    for limit in score_interval(gains, losses, n, continuity=continuity):
        assert score(limit) == pytest.approx(norm.isf(0.025), abs=1e-4)


def test_every_interval_holds_its_estimate_and_mirrors_when_the_arms_swap():
    pairs, low, high, p_value, said = every_outcome(20)
    estimate = (pairs[:, 0] - pairs[:, 1]) / 20
    assert ((low >= -1) & (low <= estimate) & (estimate <= high) & (high <= 1)).all()
    assert (high > low).all()
    mirror = {"better": "worse", "worse": "better", NONE: NONE}
    for (gains, losses), *row in zip(pairs.tolist(), low, high, p_value, said, strict=True):
        swapped = compared(losses, gains, 20)
        assert (-row[1], -row[0], row[2], mirror[row[3]]) == swapped


def test_when_all_answers_flip_one_way_the_limit_is_the_end_of_the_scale():
    assert score_interval(20, 0, 20)[1] == 1
    assert score_interval(0, 20, 20)[0] == -1
    assert score_interval(19, 0, 20)[1] < 1
    low, high = score_interval(0, 0, 100)
    assert low == -high
    assert 0.03 < high < 0.05


def test_interval_and_p_always_say_the_same():
    for n in EXACT:
        _, low, high, p_value, said = every_outcome(n)
        assert ((said != NONE) == (p_value <= 0.05)).all()
        assert (((low > 0) | (high < 0)) == (p_value <= 0.05)).all()
        assert set(said) == {"better", "worse", NONE}


@pytest.mark.parametrize("n", EXACT)
def test_exact_coverage_is_93_to_98_percent(n):
    _, low, high, *_ = every_outcome(n)
    judged = 0
    for gain_rate, loss_rate in flip_rates():
        difference = gain_rate - loss_rate
        covers = (low <= difference + 1e-12) & (difference - 1e-12 <= high)
        coverage = chances(n, gain_rate, loss_rate)[covers].sum()
        assert coverage >= 0.93, (gain_rate, loss_rate)
        # Degenerate: fewer than five flips are expected, or less than one of either kind.
        if n * (gain_rate + loss_rate) >= 5 and n * min(gain_rate, loss_rate) >= 1:
            judged += 1
            assert coverage <= 0.98, (gain_rate, loss_rate)
    assert judged >= 20


def test_the_correction_is_what_lifts_coverage_above_93_percent():
    def coverage(**continuity):
        limits = [score_interval(*pair, 20, **continuity) for pair in every_outcome(20)[0].tolist()]
        return chances(20, 0.95, 0)[[low <= 0.95 <= high for low, high in limits]].sum()

    assert coverage(continuity=0) < 0.93 <= coverage()


@pytest.mark.parametrize("n", EXACT)
def test_without_effect_a_verdict_falls_in_at_most_5_percent(n):
    said = every_outcome(n)[-1]
    sizes = [chances(n, rate, rate)[said != NONE].sum() for rate in (0.002, 0.01, 0.02, 0.05, 0.1, 0.25, 0.4, 0.5)]
    assert max(sizes) <= 0.05
    assert max(sizes) > 0.02


@pytest.mark.parametrize("n", [200, 2000])
def test_simulated_coverage_and_error_rates_hold_for_many_questions(n):
    runs, draw = 1000, np.random.default_rng(n)
    for gain_rate, loss_rate in [(0.0, 0.02), (0.004, 0.004), (0.02, 0.02), (0.08, 0.02), (0.1, 0.2), (0.49, 0.01)]:
        counts = draw.multinomial(n, [gain_rate, loss_rate, 1 - gain_rate - loss_rate], size=runs).tolist()
        found = [compared(gains, losses, n) for gains, losses, _ in counts]
        covered = sum(low <= gain_rate - loss_rate <= high for low, high, *_ in found)
        assert at_least(covered, runs, 0.93), (gain_rate, loss_rate)
        if n * min(gain_rate, loss_rate) >= 1 and n * (gain_rate + loss_rate) >= 5:
            assert at_most(covered, runs, 0.98), (gain_rate, loss_rate)
        if gain_rate == loss_rate:
            assert at_most(sum(said != NONE for *_, said in found), runs, 0.05)


@pytest.mark.parametrize("n", EXACT)
@pytest.mark.parametrize(("flipped", "comparisons"), [(0, 1), (2, 1), (8, 1), (8, 3), (20, 1)])
def test_the_smallest_difference_of_rates_has_80_percent_power_and_no_smaller_one_has(n, flipped, comparisons):
    p_value, said = every_outcome(n)[-2:]
    shown = (said == "better") & (p_value * comparisons <= 0.05)
    promised = smallest_difference(*answers(flipped // 2, flipped - flipped // 2, n), comparisons=comparisons)

    def power(difference):
        flip_rate = min(1, flipped / n + difference)
        return chances(n, (flip_rate + difference) / 2, (flip_rate - difference) / 2)[shown].sum()

    assert power(promised) == pytest.approx(0.8, abs=1e-6)
    assert power(0.97 * promised) < 0.8


def test_a_planted_smallest_difference_is_found_among_2000_questions():
    runs, n, draw = 1000, 2000, np.random.default_rng(3)
    promised = smallest_difference(*answers(100, 100, n))
    counts = draw.multinomial(n, [0.05, 0.05 + promised, 0.9 - promised], size=runs).tolist()
    found = sum(compared(gains, losses, n)[3] == "worse" for gains, losses, _ in counts)
    assert at_least(found, runs, 0.8)
    assert at_most(found, runs, 0.8)


def test_more_questions_show_less_and_too_few_show_nothing():
    assert smallest_difference([True] * 5, [False] * 5) is None
    assert smallest_difference([True] * 6, [True] * 6, comparisons=3) is None
    shown = [smallest_difference(*answers(n // 10, n // 10, n)) for n in (10, 20, 60, 200, 2000)]
    assert shown == sorted(shown, reverse=True)
    assert smallest_difference(*answers(0, 0, 60)) < smallest_difference(*answers(5, 5, 60))


# Numbers

# (draw of differences, their true mean): far from zero, so that either limit is tried as itself and not as a mirror.
DISTRIBUTIONS = {
    "normal": (lambda draw, n: draw.normal(0.1, 1, n), 0.1),
    "skewed up": (lambda draw, n: draw.lognormal(0, 1, n), math.exp(0.5)),
    "more skewed": (lambda draw, n: draw.lognormal(0, 1.2, n), math.exp(0.72)),
    "skewed down": (lambda draw, n: 5 - draw.lognormal(0, 1, n), 5 - math.exp(0.5)),
    "heavy tails": (lambda draw, n: 5 + draw.lognormal(0, 1, n) * draw.choice([-1, 1], n), 5),
    "mostly unchanged": (lambda draw, n: draw.normal(0, 1, n) * (draw.random(n) < 0.25), 0),
}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 999)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("n", "runs"), [(20, 1000), (60, 250), (200, 60), (500, 25)])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_bootstrap_covers_the_true_mean(name, n, runs):
    draw, covered = np.random.default_rng(n), 0
    differences, mean = DISTRIBUTIONS[name]
    for seed in range(runs):
        found = paired(np.zeros(n), differences(draw, n), seed=seed)
        covered += found.ci_low <= mean <= found.ci_high
    assert covered >= 0.93 * runs if runs >= 1000 else at_least(covered, runs, 0.93)
    # Degenerate: with most answers unchanged, a small sample holds too few differences to be more exact than that.
    assert name == "mostly unchanged" or at_most(covered, runs, 0.98)


@pytest.mark.parametrize("side", [1, -1])
def test_each_limit_is_the_wider_of_bootstrap_t_and_student(monkeypatch, side):
    monkeypatch.setattr(statistics, "RESAMPLES", 99_999)
    sample = 9 + side * np.exp(norm.ppf((np.arange(20) + 0.5) / 20))
    resamples = np.random.default_rng(7).choice(sample, (100_000, 20))
    pivots = (resamples.mean(axis=1) - sample.mean()) / sem(resamples, axis=1)
    tail = statistics.TAIL * norm.sf(math.sqrt(20 / 19) * student.isf(0.025, 19))
    bootstrap = sample.mean() - sem(sample) * np.quantile(pivots, [1 - tail, tail])
    limits = ttest_1samp(sample, 0).confidence_interval()
    found = paired(np.zeros(20), sample, seed=0)
    assert found.ci_low == pytest.approx(min(bootstrap[0], limits.low), abs=0.06 * sem(sample))
    assert found.ci_high == pytest.approx(max(bootstrap[1], limits.high), abs=0.06 * sem(sample))
    assert (limits.high < bootstrap[1], limits.low > bootstrap[0]) == (side > 0, side < 0)


@pytest.mark.usefixtures("quick")
def test_arms_that_are_alike_get_a_verdict_in_at_most_5_percent():
    runs, draw, wrong = 1000, np.random.default_rng(8), 0
    for seed in range(runs):
        found = paired(draw.beta(0.5, 2, 20), draw.beta(0.5, 2, 20), seed=seed)
        wrong += verdict(found.ci_low, found.ci_high, found.p_value) != NONE
    assert at_most(wrong, runs, 0.05)
    assert wrong > 0.02 * runs


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("n", "runs", "comparisons"), [(8, 300, 1), (20, 500, 1), (20, 500, 3), (100, 150, 1)])
def test_a_planted_smallest_difference_of_scores_is_found(n, runs, comparisons):
    draw = np.random.default_rng(n + comparisons)
    unit = np.tile([1.0, -1.0], n // 2)
    promised = smallest_difference(np.zeros(n), unit, comparisons=comparisons) / np.std(unit, ddof=1)

    def power(difference):
        found = [paired(np.zeros(n), draw.normal(difference, 1, n), seed=seed) for seed in range(runs)]
        return sum(verdict(f.ci_low, f.ci_high, min(1, f.p_value * comparisons)) == "better" for f in found)

    assert at_least(power(promised), runs, 0.8)
    assert power(0.6 * promised) < 0.7 * runs


def sampled(draw, n, k, gained=0.0):
    """Shares of k samples; each question's chance is U-shaped, half are drawn anew, some become certain."""
    before = draw.beta(0.2, 0.2, n)
    after = np.where(draw.random(n) < 0.5, draw.beta(0.2, 0.2, n), before)
    after = np.where(draw.random(n) < gained, 1.0, after)
    return draw.binomial(k, before) / k, draw.binomial(k, after) / k


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("n", "k", "runs"), [(20, 2, 200), (60, 8, 80)])
def test_shares_of_samples_hold_error_rate_and_coverage(n, k, runs):
    draw, wrong, covered = np.random.default_rng(k), 0, 0
    for seed in range(runs):
        found = paired(*sampled(draw, n, k), seed=seed)
        wrong += verdict(found.ci_low, found.ci_high, found.p_value) != NONE
        more = paired(*sampled(draw, n, k, gained=0.3), seed=seed)
        covered += more.ci_low <= 0.15 <= more.ci_high
    assert at_most(wrong, runs, 0.05)
    assert at_least(covered, runs, 0.93)


@pytest.mark.usefixtures("quick")
def test_a_planted_smallest_difference_of_shares_is_found():
    draw, n, runs = np.random.default_rng(1), 60, 80
    promised = np.median([smallest_difference(*sampled(draw, n, 4)) for _ in range(30)])

    def power(difference):
        found = [paired(*sampled(draw, n, 4, gained=2 * difference), seed=seed) for seed in range(runs)]
        return sum(verdict(f.ci_low, f.ci_high, f.p_value) == "better" for f in found)

    assert at_least(power(promised), runs, 0.8)
    assert power(0.6 * promised) < 0.7 * runs


@pytest.mark.parametrize("k", [2, 4, 64])
def test_no_smallest_difference_of_shares_is_above_1(k):
    draw = np.random.default_rng(k)
    found = [smallest_difference(*sampled(draw, n, k)) for n in (5, 6, 8, 12, 30) for _ in range(10)]
    assert found[:10] == [None] * 10
    assert all(one is None or 0 < one <= 1 for one in found)
    assert None not in found[-20:]
    assert 0.1 < smallest_difference(np.full(40, 0.5), np.full(40, 0.5)) < 0.3
    assert smallest_difference(np.zeros(40), np.zeros(40), groups=[i // 4 for i in range(40)]) > 0.3


def test_the_flips_of_few_questions_are_counted_in_full():
    found = paired(np.zeros(6), np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), seed=0)
    assert found.p_value == 2 / 2**6
    assert found.diff == pytest.approx(0.35)
    assert paired(np.zeros(3), np.array([1.0, 2.0, -0.5]), seed=0).p_value == pytest.approx(0.5)


@pytest.mark.parametrize("changed", [[0.3], [0.3, 0.4]])
def test_few_changed_answers_give_a_finite_interval_of_a_sensible_width(changed):
    found = paired(np.zeros(20), np.array([0.0] * (20 - len(changed)) + changed), seed=0)
    assert found.ci_low < 0 < found.diff < found.ci_high < 0.25


def test_equal_differences_are_an_interval_of_one_point():
    same = paired(np.full(20, 0.5), np.full(20, 0.5), seed=0)
    assert (same.diff, same.ci_low, same.ci_high, same.p_value) == (0, 0, 0, 1)
    shifted = paired(np.zeros(20), np.full(20, -0.5), seed=0)
    assert (shifted.ci_low, shifted.ci_high, shifted.p_value) == (-0.5, -0.5, 2 / 2**20)
    alone = paired([0.25], [0.75], seed=0)
    assert (alone.n, alone.ci_low, alone.ci_high, alone.p_value) == (1, 0, 0.5, 1)
    assert smallest_difference(np.zeros(20), np.full(20, 1.5)) is None


# Groups: four questions a vignette, of which a part of 0.6 is shared


def in_groups(draw, count, size=4):
    """Differences of questions, and the group of each."""
    groups = np.repeat(np.arange(count), size)
    return 0.6 * draw.normal(size=count)[groups] + 0.8 * draw.normal(size=count * size), groups


def rights(draw, differences):
    """Gradings whose flips are the largest and smallest 15 % of the differences in the long run."""
    before = np.where(abs(differences) < norm.isf(0.15), draw.random(len(differences)) < 0.5, differences < 0)
    return before, np.where(abs(differences) < norm.isf(0.15), before, differences > 0)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", [bool, float])
@pytest.mark.parametrize(("count", "runs"), [(12, 400), (25, 400)])
def test_groups_hold_coverage_and_error_rates_that_questions_do_not(kind, count, runs):
    draw, covered, wrong, wrong_alone = np.random.default_rng(count), 0, 0, 0
    for seed in range(runs):
        differences, groups = in_groups(draw, count)
        pair = rights(draw, differences) if kind is bool else (np.zeros(4 * count), differences)
        found = paired(*pair, seed=seed, groups=groups)
        covered += found.ci_low <= 0 <= found.ci_high
        wrong += verdict(found.ci_low, found.ci_high, found.p_value) != NONE
        if seed < runs // 2:
            alone = paired(*pair, seed=seed)
            wrong_alone += verdict(alone.ci_low, alone.ci_high, alone.p_value) != NONE
    assert at_least(covered, runs, 0.93)
    assert at_most(wrong, runs, 0.05)
    assert wrong_alone > 0.08 * runs // 2


@pytest.mark.usefixtures("quick")
def test_groups_of_several_sizes_cover_a_difference_of_rates():
    draw, runs, covered, rate_covered = np.random.default_rng(5), 400, 0, 0
    for seed in range(runs):
        sizes = draw.integers(1, 9, 25)
        groups = np.repeat(np.arange(25), sizes)
        shared = draw.random(25)[groups] < 0.3
        after = np.where(draw.random(len(groups)) < 0.6, shared, draw.random(len(groups)) < 0.3)
        found = paired(np.zeros(len(groups), bool), after, seed=seed, groups=groups)
        covered += found.ci_low <= 0.3 <= found.ci_high
        share, alpha = effective(after.astype(float), groups, 0.05)
        low, high = wilson(after.sum() * share, len(after) * share, alpha)
        rate_covered += low <= 0.3 <= high
    assert at_least(covered, runs, 0.93)
    assert at_least(rate_covered, runs, 0.93)


def test_groups_of_one_question_are_no_groups_but_for_students_quantile():
    draw = np.random.default_rng(3)
    before, after, groups = draw.random(200), draw.random(200), [str(i) for i in range(200)]
    assert paired(before, after, seed=1, groups=groups).ci_low == pytest.approx(paired(before, after, seed=1).ci_low)
    grouped, alone = (paired(before > 0.5, after > 0.2, seed=1, groups=one) for one in (groups, None))
    assert (grouped.ci_low, grouped.ci_high) == pytest.approx((alone.ci_low, alone.ci_high), abs=0.002)


def test_few_and_like_groups_are_taken_for_one_question_each():
    one = paired([False] * 40, [True] * 40, seed=0, groups=["a"] * 40)
    assert one.p_value == 1
    assert one.ci_low < 0
    none = paired([True] * 80, [True] * 80, seed=0, groups=[i // 4 for i in range(80)])
    assert (none.p_value, none.ci_high) == (1, pytest.approx(score_interval(0, 0, 20)[1], rel=0.2))
    assert smallest_difference([True] * 20, [False] * 20, groups=[i // 4 for i in range(20)]) is None
    with pytest.raises(ValueError, match="2 questions have 1 groups"):
        paired([True, True], [True, False], seed=0, groups=["a"])


# Both


def test_means_and_difference_are_those_of_the_answers():
    found = paired([True, True, False, False], [True, True, True, False], seed=0)
    assert (found.n, found.before, found.after, found.diff) == (4, 0.5, 0.75, 0.25)
    found = paired([0.5, 1.0, 0.0], [0.5, 0.25, 0.0], seed=0)
    assert (found.n, found.before, found.after, found.diff) == (3, 0.5, 0.25, -0.25)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", [bool, float])
def test_neither_the_order_of_questions_nor_that_of_the_arms_matters(kind):
    draw = np.random.default_rng(4)
    before, after = draw.random(50), draw.random(50) + 0.1
    if kind is bool:
        before, after = before > 0.5, after > 0.4
    found, order = paired(before, after, seed=1), draw.permutation(50)
    assert paired(before[order], after[order], seed=1) == found
    assert paired(list(map(kind, before)), list(map(kind, after)), seed=1) == found
    groups = order % 15
    grouped = paired(before[order], after[order], seed=1, groups=groups)
    again = draw.permutation(50)
    assert paired(before[order][again], after[order][again], seed=1, groups=groups[again]) == grouped
    assert paired(after[order], before[order], seed=1, groups=groups).ci_low == -grouped.ci_high
    swapped = paired(after, before, seed=1)
    assert (swapped.before, swapped.after, swapped.diff) == (found.after, found.before, -found.diff)
    assert (swapped.ci_low, swapped.ci_high, swapped.p_value) == (-found.ci_high, -found.ci_low, found.p_value)
    assert (paired(before, after, seed=2) == found) == (kind is bool)


@pytest.mark.parametrize(
    ("ci_low", "ci_high", "corrected_p", "said"),
    [
        (0.01, 0.2, 0.05, "better"),
        (-0.2, -0.01, 0.05, "worse"),
        (0.01, 0.2, 0.051, NONE),
        (-0.2, -0.01, 0.051, NONE),
        (0.0, 0.2, 0.001, NONE),
        (-0.2, 0.0, 0.001, NONE),
        (-0.1, 0.1, 0.001, NONE),
        (0.01, 0.2, math.nan, NONE),
    ],
)
def test_a_verdict_needs_both_the_interval_and_the_corrected_p(ci_low, ci_high, corrected_p, said):
    assert verdict(ci_low, ci_high, corrected_p) == said
    assert verdict(0.01, 0.2, 0.02, alpha=0.01) == NONE


def test_three_sets_without_effect_get_a_wrong_verdict_in_at_most_5_percent_together():
    runs, n, draw = 1000, 400, np.random.default_rng(6)
    counts = draw.multinomial(n, [0.2, 0.2, 0.6], size=(runs, 3)).tolist()
    corrected = uncorrected = 0
    for sets in counts:
        found = [compared(gains, losses, n) for gains, losses, _ in sets]
        p_values = holm({str(i): p_value for i, (_, _, p_value, _) in enumerate(found)})
        corrected += any(verdict(low, high, p_values[str(i)]) != NONE for i, (low, high, *_) in enumerate(found))
        uncorrected += any(said != NONE for *_, said in found)
    assert at_most(corrected, runs, 0.05)
    assert not at_most(uncorrected, runs, 0.05)


@pytest.mark.parametrize(
    ("before", "after", "error", "text"),
    [
        ([], [], ValueError, "no questions"),
        ([True], [True, False], ValueError, r"shape \(1,\), after \(2,\)"),
        ([[0.1]], [[0.2]], ValueError, "one score a question"),
        ([0.1, math.nan], [0.1, 0.2], ValueError, "not a finite number"),
        ([0.1, 0.3], [0.1, math.inf], ValueError, "not a finite number"),
        ([True, False], [0.5, 0.5], TypeError, "both booleans or both floats"),
        ([0, 1], [1, 1], TypeError, "both booleans or both floats"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_reason(before, after, error, text):
    with pytest.raises(error, match=text):
        paired(before, after, seed=0)
    with pytest.raises(error, match=text):
        smallest_difference(before, after)


@pytest.mark.parametrize(
    "call",
    [
        lambda: score_interval(1, 1, 1),
        lambda: score_interval(-1, 1, 5),
        lambda: score_interval(1, -1, 5),
        lambda: score_interval(0, 0, 0),
        lambda: wilson(0, 0),
        lambda: wilson(3, 2),
        lambda: wilson(-1, 2),
        lambda: holm({"a": 1.1}),
        lambda: holm({"a": -0.1}),
        lambda: holm({"a": 0.5, "b": math.nan}),
    ],
)
def test_impossible_counts_and_p_values_are_refused(call):
    with pytest.raises(ValueError, match=r"cannot have|no rate|outside of"):
        call()


PROGRAM = """
import numpy as np
from stages.evaluate.power import smallest_difference
from stages.evaluate.statistics import holm, paired
draw = np.random.default_rng(0)
before, after = draw.random(200), draw.random(200)
print(paired(before, after, seed=5), paired(before > 0.5, after > 0.5, seed=5), holm({"b": 0.02, "a": 0.01}))
print(smallest_difference(before, after), smallest_difference(before > 0.5, after > 0.5))
"""


def test_results_are_the_same_whatever_the_hash_seed_and_the_threads():
    printed = set()
    for hash_seed, threads in (("0", "1"), ("12345", "2")):
        surroundings = os.environ | {"PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": threads}
        surroundings |= {"OPENBLAS_NUM_THREADS": threads}
        ran = subprocess.run([sys.executable, "-c", PROGRAM], env=surroundings, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        printed.add(ran.stdout)
    assert len(printed) == 1


def test_2000_questions_take_no_noticeable_time():
    def seconds(call):
        taken = []
        for _ in range(3):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
        return min(taken)

    scores = np.random.default_rng(0).random((2, 2000))
    right = scores > 0.5
    assert seconds(lambda: paired(*scores, seed=0)) < 100
    assert seconds(lambda: paired(*right, seed=0)) < 10
    assert seconds(lambda: smallest_difference(*right)) < 20
    assert seconds(lambda: smallest_difference(*scores)) < 0.1
