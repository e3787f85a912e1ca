"""The share of a closed gap: its interval is where a t-test accepts the ratio, and covers what it says."""

import math

import numpy as np
import pytest
from scipy import stats

from platform.results.statistics.gap import NO_SHARE, share
from platform.results.statistics.intervals import NO_BOUNDS

random = np.random.default_rng(8)


@pytest.mark.parametrize("number", [2, 3, 5, 10])
def test_the_ends_are_the_ratios_at_which_a_t_test_turns(number: int) -> None:
    gains, gaps = random.normal(0.05, 0.002, number), random.normal(0.2, 0.003, number)
    found = share(gains.tolist(), gaps.tolist())
    assert found.value == pytest.approx(gains.mean() / gaps.mean())
    for end in (found.bounds.low, found.bounds.high):
        assert stats.ttest_1samp(gains - end * gaps, 0).pvalue == pytest.approx(0.05, abs=1e-6)
    assert found.bounds.low < found.value < found.bounds.high


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_covers_95_of_100(seeds: int) -> None:
    covered = []
    for _ in range(8000):
        lower, row, upper = random.normal((0.17, 0.23, 0.40), (0.01, 0.02, 0.01), (seeds, 3)).T
        bounds = share((row - lower).tolist(), (upper - lower).tolist()).bounds
        # Where the gap itself is not told from none, all ratios are possible.
        covered.append(bounds == NO_BOUNDS or bounds.low <= 0.06 / 0.23 <= bounds.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)


def test_a_gap_that_may_be_none_leaves_no_interval() -> None:
    found = share([0.1, 0.2, 0.3], [0.1, -0.05, 0.02])
    assert found.value == pytest.approx(0.6 / 0.07)
    assert found.bounds is NO_BOUNDS


def test_a_share_of_nothing() -> None:
    assert share([], []) is NO_SHARE
    assert share([0.1, 0.1], [0.1, -0.1]) is NO_SHARE
    assert share([0.1], [0.4]).value == pytest.approx(0.25)
    assert math.isnan(share([0.1], [0.4]).bounds.low)
