"""Tests of paired differences against scipy, statsmodels and every flip counted; the whole table under the null."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from platform.results.statistics.significance import holm, least_sign_flip, paired_t, sign_flip

random = np.random.default_rng(5)


@pytest.mark.parametrize("number", [2, 3, 5, 10, 40])
def test_the_paired_t_test_is_scipys(number: int) -> None:
    differences = random.normal(0.01, 0.02, number)
    assert paired_t(differences.tolist()) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=1e-9)


def test_the_paired_t_test_of_what_has_no_spread() -> None:
    assert math.isnan(paired_t([]))
    assert math.isnan(paired_t([0.1]))
    assert paired_t([0.0, 0.0, 0.0]) == 1.0
    assert paired_t([0.5, 0.5, 0.5]) == 0.0


@pytest.mark.parametrize("number", [1, 2, 3, 5, 8, 11])
def test_the_sign_flip_test_counts_every_flip(number: int) -> None:
    differences = random.normal(0.02, 0.03, number).tolist()
    sums = [abs(sum(map(float.__mul__, signs, differences))) for signs in itertools.product((1.0, -1.0), repeat=number)]
    assert sign_flip(differences) == pytest.approx(np.mean([each >= abs(sum(differences)) - 1e-12 for each in sums]))


@pytest.mark.parametrize("number", [9, 25])
def test_the_sign_flip_test_is_scipys_permutation_of_samples(number: int) -> None:
    differences = random.normal(0.01, 0.03, number)
    theirs = stats.permutation_test(
        (differences,),
        lambda sample, axis: np.abs(np.mean(sample, axis=axis)),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=50_000,
        rng=np.random.default_rng(2),
    ).pvalue
    assert sign_flip(differences.tolist()) == pytest.approx(theirs, abs=0.012)


def test_equal_signs_give_the_smallest_p_there_is() -> None:
    for number in range(1, 13):
        assert sign_flip([0.1 + 0.01 * each for each in range(number)]) == least_sign_flip(number) == 2 / 2**number
    assert sign_flip([0.1] * 40) == 1 / 2**16
    assert math.isnan(sign_flip([]))


def test_no_order_of_sums_makes_an_equal_flip_smaller() -> None:
    assert sign_flip([0.1, 0.2, -0.3, 0.4, -0.4]) == 1.0, "its sum is 0 on paper"


@pytest.mark.parametrize("number", [1, 2, 7, 30])
def test_holm_is_that_of_statsmodels(number: int) -> None:
    p_values = random.uniform(0, 1, number) ** 4
    _, theirs, *_ = multipletests(p_values, method="holm")
    assert list(holm(dict(enumerate(p_values.tolist()))).values()) == pytest.approx(theirs)


def test_holm_leaves_out_what_was_not_tested() -> None:
    adjusted = holm({"a": 0.01, "b": math.nan, "c": 0.04})
    assert (adjusted["a"], adjusted["c"]) == (0.02, 0.04)
    assert math.isnan(adjusted["b"])


DRAWS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda drawn, shape: drawn.normal(0, 1, shape),
    "of different spread": lambda drawn, shape: drawn.normal(0, 1, shape) * np.geomspace(0.1, 10, shape[0])[:, None],
    "heavy-tailed": lambda drawn, shape: drawn.standard_t(3, shape),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_at_most_5_of_100_tables_without_a_difference_show_one(
    seeds: int, draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
) -> None:
    drawn = np.random.default_rng(11)
    tables = 3000
    false = 0
    for _ in range(tables):
        rows = draw(drawn, (8, seeds))
        differences = rows[1:] - rows[0]
        found = holm({row: paired_t(each) for row, each in enumerate(differences.tolist())})
        false += min(found.values()) <= 0.05
    assert false / tables <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / tables)
