"""Ranks as far as seeds tell them, by brute force over all pairs and by simulated studies."""

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from platform.results.statistics.ranks import Ranks, paired, pairs_told, ranks


def by_seed(values: np.ndarray) -> dict[str, dict[int, float]]:
    return {f"row {row}": dict(enumerate(each.tolist(), start=1)) for row, each in enumerate(values)}


def test_ranks_count_the_pairs_that_are_told() -> None:
    values = np.random.default_rng(1).normal(np.asarray([0.1, 0.1, 0.2, 0.21, 0.4])[:, None], 0.01, (5, 6))
    pairs = [*itertools.combinations(range(5), 2)]
    told = multipletests([stats.ttest_rel(values[a], values[b]).pvalue for a, b in pairs], method="holm")[1] <= 0.05
    assert 0 < sum(told) < len(pairs), "a case in which all pairs are told, or none, shows nothing"
    expected = {}
    for row in range(5):
        against = [(b if a == row else a) for a, b in itertools.compress(pairs, told) if row in (a, b)]
        above = sum(values[other].mean() > values[row].mean() for other in against)
        expected[f"row {row}"] = Ranks(1 + above, 5 - (len(against) - above))
    assert ranks(by_seed(values)) == expected


@pytest.mark.parametrize("seeds", [3, 5])
def test_all_true_ranks_are_held_at_once_in_95_of_100_studies(seeds: int) -> None:
    truth = np.asarray([0.1, 0.12, 0.12, 0.2])
    possible = [{int(np.sum(truth > each)) + 1, int(np.sum(truth >= each))} for each in truth]
    drawn = np.random.default_rng(2).normal(truth[:, None], 0.02, (1500, 4, seeds))
    held = [
        all(
            found.best <= min(places) and max(places) <= found.worst
            for found, places in zip(ranks(by_seed(study)).values(), possible, strict=True)
        )
        for study in drawn
    ]
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 1500)


def test_rows_without_shared_seeds_may_have_any_rank() -> None:
    assert ranks({"a": {1: 0.1, 2: 0.1}, "b": {3: 0.9, 4: 0.9}}) == {"a": Ranks(1, 2), "b": Ranks(1, 2)}
    assert ranks({"a": {1: 0.1}}) == {"a": Ranks(1, 1)}
    assert ranks({}) == {}


def test_pairs_are_of_shared_seeds_in_their_order() -> None:
    assert paired({3: 0.5, 1: 0.2}, {1: 0.1, 2: 9.0, 3: 0.1}) == [pytest.approx(0.1), pytest.approx(0.4)]
    told = pairs_told({"a": {1: 0.1, 2: 0.2, 3: 0.31}, "b": {1: 0.2, 2: 0.3, 3: 0.4}})
    assert told["a", "b"] == pytest.approx(stats.ttest_rel([0.1, 0.2, 0.31], [0.2, 0.3, 0.4]).pvalue)
