"""Student-t intervals."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from platform.results.statistics import interval


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


def test_three_seeds_cover_the_truth_in_95_of_100_studies() -> None:
    draws = np.random.default_rng(7).normal(0.3, 0.02, (4000, 3))
    covered = [abs(mean - 0.3) <= half for mean, half in map(interval, draws.tolist())]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.011)  # three standard errors


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    assert interval([0.3])[0] == 0.3
    assert math.isnan(interval([0.3])[1])
    assert all(map(math.isnan, interval([])))
