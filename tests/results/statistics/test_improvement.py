"""rliable's two numbers, by what its own source calls: scipy's trimmed mean and the Mann-Whitney statistic."""

import math

import numpy as np
import pytest
from scipy import stats

from platform.results.statistics.improvement import interquartile_mean, probability_of_improvement

random = np.random.default_rng(6)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 8, 11])
def test_the_interquartile_mean_is_scipys_trimmed_mean(number: int) -> None:
    values = random.normal(size=number)
    assert interquartile_mean(values.tolist()) == pytest.approx(stats.trim_mean(values, 0.25))


@pytest.mark.parametrize(("number", "others"), [(3, 3), (5, 4), (10, 10)])
def test_the_probability_of_improvement_is_the_mann_whitney_statistic(number: int, others: int) -> None:
    one, other = random.integers(0, 6, number) / 10, random.integers(0, 6, others) / 10
    statistic = stats.mannwhitneyu(one, other).statistic
    assert probability_of_improvement(one.tolist(), other.tolist()) == pytest.approx(statistic / (number * others))


def test_nothing_is_said_of_no_runs() -> None:
    assert math.isnan(interquartile_mean([]))
    assert math.isnan(probability_of_improvement([], [0.1]))
    assert math.isnan(probability_of_improvement([0.1], []))
    assert probability_of_improvement([0.2, 0.3], [0.1]) == 1.0
    assert probability_of_improvement([0.1], [0.1]) == 0.5
