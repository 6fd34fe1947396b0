"""The recipe over training seeds: textbook mean squares, error rates and coverage by simulation, degenerate seeds."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import binom, t, ttest_1samp

from stages.experiments import seeds as module
from stages.experiments.seeds import recipe
from tests.benchmarks import simulations

NONE = "no difference shown"


def at_most(share, runs, bound):
    """The share may be above the bound by chance alone, as it is once in a hundred honest tests."""
    return share * runs <= binom.isf(0.01, runs, bound)


def drawn(seeds=5, n=60, seed=0):
    return np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], (seeds, n), p=[0.1, 0.5, 0.4])


def numbers(found):
    return [value for value in astuple(found) if not isinstance(value, str)]


@pytest.mark.parametrize(("seeds", "n", "base"), [(3, 100, 0.1), (5, 30, 0.5), (10, 100, 0.9)])
def test_error_rates_and_coverage_hold(seeds, n, base):
    runs = 150
    cell = simulations.seeds_cell(seeds, n, 0.045, base, runs=runs)
    assert at_most(cell["alarms"], runs, 0.05)
    assert at_most(1 - cell["covered"], runs, 0.07)
    assert at_most(1 - cell["next"], runs, 0.07)


def test_a_plain_hierarchical_bootstrap_is_too_narrow_with_five_seeds():
    draw, outside = np.random.default_rng(5), 0
    for _ in range(100):
        values = simulations.seed_differences(draw, 5, 500, 0.5, 0.5, 0.1)
        low, high = simulations.hierarchical_bootstrap(draw, values)
        outside += not low <= 0 <= high
    assert outside >= 10


def test_groups_hold_what_questions_taken_alone_do_not():
    runs, wrong, alone = 100, 0, 0
    draw, groups = np.random.default_rng(1), [i // 10 for i in range(200)]
    for _ in range(runs):
        shared = np.repeat(draw.choice([-0.5, 0.5], 20), 10)
        values = np.clip(shared + draw.normal(0, 0.2, (3, 200)), -1, 1)
        wrong += recipe(values, groups).verdict != NONE
        alone += recipe(values).verdict != NONE
    assert at_most(wrong / runs, runs, 0.05)
    assert alone > 0.2 * runs


def test_the_spread_of_seeds_is_told_apart_from_chance():
    draw = np.random.default_rng(2)
    found = [recipe(draw.random((20, 100)) < draw.normal(0.5, sd, (20, 1))) for sd in [0.08] * 50 + [0] * 50]
    assert np.mean([one.sd for one in found[:50]]) == pytest.approx(math.hypot(0.08, 0.05), rel=0.05)
    assert np.mean([one.own_sd for one in found[:50]]) == pytest.approx(0.08, rel=0.07)
    assert np.median([one.own_sd for one in found[50:]]) < 0.015


def test_the_mean_squares_are_those_of_a_textbook():
    # Two rows of three by hand: mean 3; rows 2 and 4, columns 1.5, 3, 4.5; residuals +-0.5, 0.
    found = module._mean_squares(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]))
    assert found == pytest.approx((6.0, 4.5, 0.5))


def test_one_more_seed_gets_students_prediction_interval():
    values = np.sort(drawn()) * (np.arange(60) >= [[0], [5], [10], [20], [50]])
    rates, found = values.mean(axis=1), recipe(values)
    half = t.isf(0.025, 4) * rates.std(ddof=1) * math.sqrt(1 + 1 / 5)
    assert (found.next_low, found.next_high) == pytest.approx((rates.mean() - half, rates.mean() + half))
    assert (found.seeds, found.n, found.diff, found.sd) == (5, 60, pytest.approx(rates.mean()), rates.std(ddof=1))
    assert found.next_low < found.ci_low < found.diff < found.ci_high < found.next_high


def test_seeds_that_answer_alike_leave_the_questions_alone():
    row = drawn(1, 400)
    found, alone = recipe(np.repeat(row, 4, axis=0)), ttest_1samp(row[0], 0).confidence_interval()
    assert (found.ci_low, found.ci_high) == (pytest.approx(alone.low, abs=0.005), pytest.approx(alone.high, abs=0.005))
    assert (found.sd, found.own_sd, found.next_low, found.next_high) == (0, 0, found.diff, found.diff)
    assert found.verdict == "better"


def test_three_seeds_that_disagree_show_little_however_many_the_questions():
    values = np.zeros((3, 4000))
    values[0, :1600] = values[1, :400] = values[2, :100] = 1
    found = recipe(values)
    assert (found.verdict, found.p_value > 0.05, found.ci_low < 0) == (NONE, True, True)
    assert found.own_sd == pytest.approx(found.sd, rel=0.01)


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_answers_that_are_all_alike_are_no_proof(value):
    found = recipe(np.full((3, 20), value))
    assert -1 <= found.ci_low <= found.diff == value <= found.ci_high <= 1
    assert found.ci_high - found.ci_low > 0.15
    assert found.verdict == {-1: "worse", 0: NONE, 1: "better"}[value]


def test_seeds_with_one_rate_that_disagree_on_questions_have_a_spread():
    found = recipe([[1, 0, -1] * 10, [-1, 1, 0] * 10])
    assert (found.diff, found.p_value) == (0, 1)
    assert found.ci_high - found.ci_low > 0.3
    assert found.next_high > 0.3


def test_the_interval_holds_0_where_p_is_above_5_percent_and_there_alone():
    said = set()
    for seed in range(60):
        values = drawn(3, 20, seed) - 0.002 * seed * np.sign(drawn(3, 20, seed))
        found = recipe(values)
        assert (found.ci_low <= 0 <= found.ci_high) == (found.p_value > 0.05)
        said.add(found.verdict)
    assert said == {NONE, "better"}


def test_neither_order_nor_the_arms_matter():
    values, draw, groups = drawn(), np.random.default_rng(4), np.arange(60) // 3
    order = draw.permutation(60)
    found = recipe(values, groups)
    assert numbers(recipe(values[::-1][:, order], groups[order])) == pytest.approx(numbers(found))
    mirrored = recipe(-values, groups)
    assert (mirrored.diff, mirrored.ci_high, mirrored.next_high) == pytest.approx(
        (-found.diff, -found.ci_low, -found.next_low)
    )
    assert mirrored.p_value == pytest.approx(found.p_value)
    assert numbers(recipe(values, np.arange(60))) == pytest.approx(numbers(recipe(values)))


@pytest.mark.parametrize(
    ("values", "groups", "text"),
    [
        ([[1, 0, 1]], None, "1 seeds and 3 questions"),
        ([[1], [0]], None, "2 seeds and 1 questions"),
        ([[1, 0], [0, 1]], ["a", "a"], "2 seeds and 1 questions or groups"),
        ([[1, 0], [0, 1]], ["a"], "2 questions have 1 groups"),
        ([1, 0, 1], None, "a row a seed"),
        ([[1, 2], [0, 1]], None, r"values in \[-1, 1\]"),
        ([[1, math.nan], [0, 1]], None, r"values in \[-1, 1\]"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_reason(values, groups, text):
    with pytest.raises(ValueError, match=text):
        recipe(values, groups)


def test_the_best_of_ten_needs_the_correction_for_ten_looks():
    runs = 250
    uncorrected, corrected = (float(cell) / 100 for cell in simulations.looks_row(100, 0.5, 0.0, runs=runs)[3:5])
    assert at_most(corrected, runs, 0.05)
    assert uncorrected > 0.06
