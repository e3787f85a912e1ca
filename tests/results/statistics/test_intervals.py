"""Student-t and bootstrap intervals: their numbers by scipy, their coverage by simulation."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from platform.results.statistics.intervals import (
    LEAST_BOOTSTRAPPED,
    NO_BOUNDS,
    bias_corrected,
    bootstrapped,
    interval,
    welch_freedom,
    welch_interval,
    welch_p,
)


@pytest.mark.parametrize(("number", "quantile"), [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262)])
def test_half_width_uses_the_published_t_quantile(number: int, quantile: float) -> None:
    values = np.random.default_rng(number).normal(size=number).tolist()
    mean, half_width = interval(values)
    assert mean == pytest.approx(statistics.fmean(values))
    assert half_width == pytest.approx(quantile * statistics.stdev(values) / math.sqrt(number), rel=2e-4)


def test_half_width_agrees_with_scipy() -> None:
    values = [0.2, 0.23, 0.27, 0.21]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    mean, half_width = interval(values)
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_t_interval_covers_the_truth_in_95_of_100_studies(seeds: int) -> None:
    draws = np.random.default_rng(7).normal(0.3, 0.02, (8000, seeds))
    covered = [abs(mean - 0.3) <= half for mean, half in map(interval, draws.tolist())]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)  # four standard errors


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    assert interval([0.3])[0] == 0.3
    assert math.isnan(interval([0.3])[1])
    assert all(map(math.isnan, interval([])))


def test_the_bootstrap_is_scipys_bca_at_the_widened_level() -> None:
    values = np.random.default_rng(3).gamma(2, 1, 12)
    level = stats.norm.cdf(-math.sqrt(12 / 11) * stats.t.ppf(0.975, 11))
    theirs = stats.bootstrap(
        (values,), np.mean, confidence_level=1 - 2 * level, method="BCa", n_resamples=200_000, rng=1
    ).confidence_interval
    ours = bias_corrected(values.tolist(), resamples=200_000)
    spread = float(values.std())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02 * spread)


def test_the_bootstrap_leans_to_the_side_of_the_longer_tail() -> None:
    values = [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.5]
    found, (mean, half_width) = bootstrapped(values), interval(values)
    assert found.high - mean > 1.5 * (mean - found.low), "a t interval has equal sides"
    assert found.high > mean + 0.9 * half_width


def test_ten_seeds_are_covered_by_the_bootstrap() -> None:
    draws = np.random.default_rng(7).normal(0.3, 0.02, (4000, LEAST_BOOTSTRAPPED))
    found = [bias_corrected(values, resamples=2000) for values in draws.tolist()]
    assert np.mean([each.low <= 0.3 <= each.high for each in found]) == pytest.approx(0.95, abs=0.0145)


def test_fewer_than_ten_seeds_get_no_bootstrap() -> None:
    values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert bootstrapped(values) == bias_corrected(values)
    assert bootstrapped(values[:9]) is NO_BOUNDS
    found = bias_corrected(values[:9])
    assert found.low < 0.5 < found.high


def test_equal_values_have_no_bootstrap_and_the_same_values_the_same_one() -> None:
    assert bootstrapped([0.2] * 12) is NO_BOUNDS
    values = np.random.default_rng(0).normal(size=12).tolist()
    assert bootstrapped(values) == bootstrapped(values)


@pytest.mark.parametrize("seed", range(20))
def test_the_difference_of_two_samples_agrees_with_scipys_welch(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = (random.normal(0.3, random.uniform(1e-4, 0.1), random.integers(2, 9)).tolist() for _ in range(2))
    theirs = stats.ttest_ind(first, second, equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    difference, half_width = welch_interval(first, second)
    assert (difference - half_width, difference + half_width) == pytest.approx((low, high))
    assert [welch_p(first, second), welch_p(second, first)] == pytest.approx([theirs.pvalue] * 2, rel=1e-9)
    variances = float(np.var(first, ddof=1)) / len(first), float(np.var(second, ddof=1)) / len(second)
    assert welch_freedom(variances, (len(first), len(second))) == pytest.approx(theirs.df)


@pytest.mark.parametrize("spread", [0.02, 0.04])
@pytest.mark.parametrize(("numbers", "off"), [((3, 3), 0.02), ((3, 10), 0.02), ((5, 5), 0.01), ((10, 10), 0.01)])
def test_welchs_interval_holds_what_it_says_and_with_three_seeds_a_point_more_or_less(
    numbers: tuple[int, int], off: float, spread: float
) -> None:
    random = np.random.default_rng(7)
    first, second = (
        random.normal(0.3, deviation, (8000, number)).tolist()
        for deviation, number in zip((0.02, spread), numbers, strict=True)
    )
    intervals = (welch_interval(*pair) for pair in zip(first, second, strict=True))
    covered = [abs(difference) <= half for difference, half in intervals]
    assert np.mean(covered) == pytest.approx(0.95, abs=off)


def test_a_sample_of_one_value_gives_no_interval_and_of_none_no_difference() -> None:
    assert welch_interval([0.3], [0.1, 0.2])[0] == pytest.approx(0.15)
    assert math.isnan(welch_interval([0.3], [0.1, 0.2])[1])
    assert all(map(math.isnan, welch_interval([], [0.1, 0.2])))
    assert math.isnan(welch_p([0.3], [0.1, 0.2]))
    assert math.isnan(welch_p([], [0.1, 0.2]))


def test_two_samples_without_any_spread_differ_by_exactly_so_much() -> None:
    assert welch_interval([0.5, 0.5], [0.25, 0.25]) == (0.25, 0.0)
    assert welch_p([0.5, 0.5], [0.25, 0.25]) == 0.0
    assert welch_p([0.5, 0.5], [0.5, 0.5, 0.5]) == 1.0
    assert math.isnan(welch_freedom((0.0, 0.0), (2, 2)))
