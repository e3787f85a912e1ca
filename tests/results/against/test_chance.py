"""Which rows are told from chance: all are tested together, against scipy, statsmodels and simulation."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower

from platform.results.against.chance import judged
from platform.results.against.score import Gap, Half, Way

Row = tuple[Half, Half, Gap]


def row(one: Any, two: Any, way: Way = "paired") -> Row:
    """A row by the scores of both sides; seeds count from 1."""
    sides = [Half("row", None, (), {seed: float(score) for seed, score in enumerate(each, 1)}) for each in (one, two)]
    return sides[0], sides[1], Gap(float(np.mean(one) - np.mean(two)), 0.01, way, (len(one), len(two)))


def test_rows_are_adjusted_for_together_each_by_its_own_test() -> None:
    random = np.random.default_rng(1)
    pairs = [(random.normal(0.32, 0.02, 5), random.normal(0.3, 0.02, 5)) for _ in range(2)]
    apart = [(random.normal(0.34, 0.02, 3), random.normal(0.3, 0.04, 6)) for _ in range(2)]
    found = judged([*(row(*each) for each in pairs), *(row(*each, way="Welch") for each in apart)])
    theirs = [stats.ttest_rel(*each).pvalue for each in pairs]
    theirs += [stats.ttest_ind(*each, equal_var=False).pvalue for each in apart]
    assert [each.p for each in found] == pytest.approx(multipletests(theirs, method="holm")[1])


def test_a_row_without_a_test_is_none_that_others_are_adjusted_for() -> None:
    tested = row([0.31, 0.32, 0.33], [0.30, 0.30, 0.31])
    same, alone = row([0.3, 0.3], [0.3, 0.3], "same trials"), row([0.3], [0.4], "one run each")
    lonely, empty = row([0.3], [0.4, 0.5], "Welch"), row([0.3], [0.4], "no score")
    found = judged([same, tested, alone, lonely, empty])
    assert found[1] == judged([tested])[0]
    assert found[1].p == pytest.approx(stats.ttest_rel([0.31, 0.32, 0.33], [0.30, 0.30, 0.31]).pvalue)
    for each in (found[0], *found[2:]):
        assert math.isnan(each.p)
        assert not each.told


def test_what_seeds_can_find_is_that_of_a_t_test_of_the_rows_pooled_spread() -> None:
    one = np.array([0.30, 0.32, 0.34, 0.31, 0.33])
    (found,) = judged([row(one, one - 0.1, "Welch")])
    size = TTestIndPower().solve_power(nobs1=5, alpha=0.05, power=0.8)
    assert found.detectable == pytest.approx(size * one.std(ddof=1), rel=1e-3)
    wide, narrow = one - one.mean(), (one - one.mean()) / 2
    rows = [row(0.3 + each, np.full(5, 0.3)) for each in (wide, narrow)]
    size = TTestPower().solve_power(nobs=5, alpha=0.05 / 2, power=0.8)
    pooled = math.sqrt((wide.var(ddof=1) + narrow.var(ddof=1)) / 2)
    assert [each.detectable for each in judged(rows)] == pytest.approx([size * pooled] * 2, rel=1e-3)


def test_a_row_whose_seeds_lie_close_by_luck_is_not_told() -> None:
    spread = np.array([-0.04, -0.02, 0.0, 0.02, 0.04])
    wide, close = row(0.3 + spread, np.full(5, 0.3)), row(0.302 + spread / 100, np.full(5, 0.3))
    assert judged([close])[0].told
    found = judged([wide, close])[1]
    assert found.p < 0.01
    assert not found.told
    assert judged([wide, row(0.5 + spread / 100, np.full(5, 0.3))])[1].told


def test_rows_without_any_spread_are_told_where_they_differ() -> None:
    for way in ("paired", "Welch"):
        found = judged([row([0.5, 0.5], [0.25, 0.25], way), row([0.5, 0.5], [0.5, 0.5], way)])
        assert [each.told for each in found] == [True, False]


@pytest.mark.parametrize("way", ["paired", "Welch"])
def test_at_most_5_of_100_pairs_of_equal_studies_have_a_small_p(way: Way) -> None:
    random = np.random.default_rng(5)
    studies = 1000
    draws = random.normal(0.3, 0.02, (studies, 6, 2, 5))
    false = sum(min(each.p for each in judged([row(one, two, way) for one, two in rows])) <= 0.05 for rows in draws)
    assert false / studies <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)
