"""Power as stated: by statsmodels, and by simulated studies."""

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from platform.results.statistics.power import POWER, pooled, power, seeds_for, smallest_difference
from platform.results.statistics.significance import holm, paired_t


@pytest.mark.parametrize(("seeds", "comparisons"), [(3, 1), (5, 1), (10, 1), (5, 4), (10, 4)])
def test_power_is_that_of_statsmodels(seeds: int, comparisons: int) -> None:
    # For three seeds and four comparisons it has no value; the simulation below has.
    theirs = TTestPower().power(effect_size=1.5, nobs=seeds, alpha=0.05 / comparisons, alternative="two-sided")
    assert power(0.03, 0.02, seeds, comparisons) == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize(("seeds", "comparisons"), [(3, 1), (3, 4), (5, 1), (5, 8), (10, 8)])
def test_studies_find_the_smallest_difference_four_times_out_of_five(seeds: int, comparisons: int) -> None:
    """Of rows of which one alone differs: the test that Holm takes first decides on it."""
    difference = smallest_difference(0.02, seeds, comparisons)
    drawn = np.random.default_rng(3).normal(0, 0.02, (4000, comparisons, seeds))
    drawn[:, 0] += difference
    found = [
        holm(dict(enumerate(map(paired_t, study.tolist()))))[0] <= 0.05
        if comparisons == 1
        else paired_t(study[0].tolist()) <= 0.05 / comparisons
        for study in drawn
    ]
    assert np.mean(found) == pytest.approx(POWER, abs=0.02)


def test_holm_finds_at_least_as_much_as_is_stated() -> None:
    difference = smallest_difference(0.02, 5, 4)
    drawn = np.random.default_rng(4).normal(0, 0.02, (3000, 4, 5))
    drawn[:, :2] += difference
    found = [holm(dict(enumerate(map(paired_t, study.tolist()))))[0] <= 0.05 for study in drawn]
    assert np.mean(found) >= POWER - 0.02


@pytest.mark.parametrize("comparisons", [1, 5, 30])
def test_the_seeds_for_a_difference_find_it_and_one_fewer_does_not(comparisons: int) -> None:
    for difference in (0.05, 0.02, 0.01):
        seeds = seeds_for(difference, 0.02, comparisons)
        assert seeds is not None
        assert power(difference, 0.02, seeds, comparisons) >= POWER > power(difference, 0.02, seeds - 1, comparisons)
        assert smallest_difference(0.02, seeds, comparisons) <= difference * (1 + 1e-6)


def test_what_no_seeds_find() -> None:
    assert math.isnan(smallest_difference(0.02, 1, 3))
    assert math.isnan(smallest_difference(math.nan, 5, 3))
    assert smallest_difference(0.0, 5, 3) == 0.0
    assert power(0.02, 0.02, 1, 1) == 0.0
    assert seeds_for(1e-5, 0.02, 1) is None


def test_samples_are_pooled_about_their_own_means() -> None:
    samples = [[0.1, 0.2, 0.3], [5.0, 5.4], [9.0]]
    squares = 0.01 + 0.01 + 0.04 + 0.04
    assert pooled(samples) == pytest.approx(math.sqrt(squares / 3))
    assert math.isnan(pooled([[1.0], []]))


def test_samples_of_the_same_trials_say_nothing_of_the_spread() -> None:
    samples = [[0.1, 0.2, 0.3], [5.0, 5.4]]
    same = [[0.0, 0.0, 0.0], [0.1, 0.2, 0.3], [-5.0, -5.4]]
    assert pooled([*samples, *same]) == pooled(samples)
    assert pooled(same[:1]) == 0.0
