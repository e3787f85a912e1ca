"""Ranks as far as pairs are told, by brute force."""

import itertools

import numpy as np
import pytest

from platform.results.statistics.ranks import Ranks, ranks


@pytest.mark.parametrize("seed", range(5))
def test_a_row_ranks_behind_all_that_are_better_and_before_all_that_are_worse(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = ["a", "b", "c", "d", "e"]
    told = [(one, other) for one, other in itertools.combinations(names, 2) if random.random() < 0.5]
    found = ranks(names, told)
    for name in names:
        better = {one for one, other in told if other == name}
        worse = {other for one, other in told if one == name}
        assert found[name] == Ranks(1 + len(better), 5 - len(worse))


def test_rows_that_nothing_tells_apart_may_have_any_rank() -> None:
    assert ranks(["a", "b"], []) == {"a": Ranks(1, 2), "b": Ranks(1, 2)}
    assert ranks(["a"], []) == {"a": Ranks(1, 1)}
    assert ranks([], []) == {}
