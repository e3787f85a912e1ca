"""Fractions against published tables, and against every other choice of generators."""

import itertools

import numpy as np
import pytest

from platform.design.ablation.fractional import fraction, generators, lengths, product, resolution

RESOLUTIONS: dict[int, dict[int, int | None]] = {
    4: {3: 3, 4: None},
    8: {4: 4, 5: 3, 6: 3, 7: 3},
    16: {5: 5, 6: 4, 7: 4, 8: 4, 9: 3, 10: 3},
    32: {6: 6, 7: 4, 8: 4, 9: 4, 10: 4},
    64: {7: 7, 8: 5, 9: 4, 10: 4},
    128: {8: 8, 9: 6, 10: 5},
}
"""By runs and factors: Box, Hunter, Hunter, "Statistics for Experimenters", 2nd edition, table 6.22."""
WORD_LENGTHS = {
    (8, 5): [0, 0, 2, 1, 0],
    (16, 6): [0, 0, 0, 3, 0, 0],
    (16, 7): [0, 0, 0, 7, 0, 0, 0],
    (32, 7): [0, 0, 0, 1, 2, 0, 0],
    (32, 8): [0, 0, 0, 3, 4, 0, 0, 0],
    (64, 9): [0, 0, 0, 1, 4, 2, 0, 0, 0],
}
"""Of designs of minimum aberration: Fries and Hunter, Technometrics 1980, table 1; Chen, Sun and Wu, 1993."""
SIZES = [(runs, factors) for runs, by_factors in RESOLUTIONS.items() for factors, of in by_factors.items() if of]


@pytest.mark.parametrize(("runs", "factors"), SIZES)
def test_the_resolution_is_the_published_one(runs: int, factors: int) -> None:
    rows = fraction(factors, runs)
    assert len(set(rows)) == runs
    assert resolution(rows) == RESOLUTIONS[runs][factors]


def words_of(rows: list[tuple[bool, ...]]) -> list[int]:
    """How many products of 1, 2, ... factors are constant, by multiplying the columns."""
    signs = np.where(np.array(rows), 1, -1)
    return [
        sum(np.ptp(signs[:, members].prod(axis=1)) == 0 for members in itertools.combinations(range(signs.shape[1]), n))
        for n in range(1, signs.shape[1] + 1)
    ]


@pytest.mark.parametrize(("size", "expected"), WORD_LENGTHS.items())
def test_the_word_lengths_are_those_of_the_least_aberration(size: tuple[int, int], expected: list[int]) -> None:
    runs, factors = size
    assert words_of(fraction(factors, runs)) == expected


@pytest.mark.parametrize(("runs", "factors"), [(8, 5), (8, 6), (16, 6), (16, 7), (16, 8), (32, 7)])
def test_no_other_generators_are_better(runs: int, factors: int) -> None:
    own = runs.bit_length() - 1
    best = words_of(fraction(factors, runs))
    several = [members for members in range(2**own) if members.bit_count() > 1]
    for choice in itertools.combinations(several, factors - own):
        rows = [
            (*base, *(product(base, generator) for generator in choice))
            for base in itertools.product((True, False), repeat=own)
        ]
        assert best <= words_of(rows)


@pytest.mark.parametrize(("runs", "factors"), [(8, 5), (16, 7), (32, 8)])
def test_words_are_counted_as_columns_that_are_multiplied(runs: int, factors: int) -> None:
    own = runs.bit_length() - 1
    chosen = generators(factors, own)
    words = np.array([[generator | 1 << own + place for place, generator in enumerate(chosen)]], np.int64)
    assert lengths(words, factors)[0].tolist() == words_of(fraction(factors, runs))


def test_the_largest_power_of_two_up_to_the_rows_that_there_may_be_is_taken() -> None:
    assert fraction(6, 31) == fraction(6, 16)
    assert len(fraction(6, 33)) == 32


def test_a_full_factorial_has_no_resolution() -> None:
    assert resolution(itertools.product((True, False), repeat=4)) is None
