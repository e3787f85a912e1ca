"""Regular two-level fractions 2^(k - p) of the highest resolution and, among these, of the least aberration.

A factor beyond the first m = k - p is the product of some of these, its generator; the product of a factor and its
generator, a word, is constant over the fraction, and so is every product of words. The length of the shortest word is
the resolution: at III main effects are aliased with two-way interactions, at IV these with each other, at V neither. Of
fractions of one resolution that of the least aberration has the fewest shortest words, then the fewest of the next
length (Box and Hunter, Technometrics 1961; Fries and Hunter, Technometrics 1980).
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int64

MOST_PARTS = 10
"""Factors beyond which the search among generators would take minutes."""


def fraction(factors: int, most: int) -> list[tuple[bool, ...]]:
    """The runs of the best fraction with at most so many, each factor high or low. Raises ValueError without any."""
    if factors > MOST_PARTS:
        raise ValueError(f"FractionalFactorial takes at most {MOST_PARTS} parts, got {factors}; join some into one")
    if 2**factors <= most:
        raise ValueError(
            f"FractionalFactorial(most={most}) has room for all {2**factors} combinations of {factors} parts; take "
            "FullFactorial()"
        )
    own = most.bit_length() - 1
    if factors > 2**own - 1:
        least = 2 ** factors.bit_length()
        raise ValueError(
            f"FractionalFactorial(most={most}) can tell at most {2**own - 1} parts apart, got {factors}; take "
            f"most={least}, or join parts"
        )
    chosen = generators(factors, own)
    return [
        (*base, *(product(base, generator) for generator in chosen))
        for base in itertools.product((True, False), repeat=own)
    ]


def product(levels: Sequence[bool], members: int) -> bool:
    """The product of some factors, high as +1 and low as -1; factor i is bit i of `members`."""
    return sum(not level for number, level in enumerate(levels) if members >> number & 1) % 2 == 0


def generators(factors: int, own: int) -> tuple[int, ...]:
    """The best generators of the factors beyond the first `own`: of which of these each is the product, as bits.

    Of those that are equally good the first in the order of numbers.
    """
    several = [members for members in range(2**own) if members.bit_count() > 1]
    choices = list(itertools.combinations(several, factors - own))
    words = np.array([[g | 1 << own + place for place, g in enumerate(choice)] for choice in choices], np.int64)
    counts = lengths(words, factors)
    return choices[int(np.lexsort(counts.T[::-1])[0])]


def lengths(words: Int64[np.ndarray, "designs generators"], factors: int) -> Int64[np.ndarray, "designs lengths"]:
    """How many products of each design's words have 1, 2, ... factors: its word lengths."""
    products = np.zeros((len(words), 1), np.int64)
    for word in words.T:
        products = np.concatenate([products, products ^ word[:, None]], axis=1)
    found = np.bitwise_count(products[:, 1:].astype(np.uint64))
    return np.stack([(found == length).sum(axis=1) for length in range(1, factors + 1)], axis=1)


def resolution(rows: Iterable[Sequence[bool]]) -> int | None:
    """The fewest factors, of MOST_PARTS at most, whose product is constant over the runs; None where none is."""
    signs = np.where(np.array([*rows], bool), 1, -1)
    for size in range(1, signs.shape[1] + 1):
        for members in itertools.combinations(range(signs.shape[1]), size):
            if np.ptp(signs[:, members].prod(axis=1)) == 0:
                return size
    return None
