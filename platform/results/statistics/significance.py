"""Whether differences of a table may be chance: tests of paired differences, and what many of them cost."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr

Key = TypeVar("Key", bound=Hashable)

LEVEL = 0.05
"""The chance that a table without any difference shows one or more."""
MOST_EXACT = 16
"""Seeds of which all flips of sign are counted; of more, as many are drawn as these have."""


def paired_t(differences: Sequence[float]) -> float:
    """The two-sided p-value of Student's t for the mean of paired differences: T = mean sqrt(n) / s, n - 1 degrees.

    nan for fewer than two differences; 0 for equal ones that are not 0, and 1 where all are 0.
    """
    number = len(differences)
    if number < 2:
        return math.nan
    mean, deviation = float(np.mean(differences)), float(np.std(differences, ddof=1))
    if deviation == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(number - 1, -abs(mean) * math.sqrt(number) / deviation))


def sign_flip(differences: Sequence[float]) -> float:
    """The two-sided p-value of the sign-flip test: the share of flips whose mean is as far from 0 as the one found.

    It takes nothing for granted but that a difference and its negative are equally likely where there is none (Fisher,
    The Design of Experiments, 1935). Exact up to 16 differences; of more, 65,535 drawn flips and the one found
    (Phipson and Smyth, 2010). nan without differences.
    """
    number = len(differences)
    if not number:
        return math.nan
    values = np.asarray(differences, dtype=float)
    found = abs(values.sum())
    # Sums that are equal on paper differ in their last bits by the order of their terms.
    least = found - 1e-9 * np.abs(values).sum()
    flips = _all_flips(number) if number <= MOST_EXACT else _drawn_flips(number)
    return float(np.mean(np.abs(flips @ values) >= least))


def _all_flips(number: int) -> Float[np.ndarray, "samples seeds"]:
    return 1.0 - 2 * (np.arange(2**number)[:, None] >> np.arange(number) & 1)


def _drawn_flips(number: int) -> Float[np.ndarray, "samples seeds"]:
    """Flips of a fixed draw, the first of which changes no sign."""
    drawn = np.random.default_rng(0).integers(2, size=(2**MOST_EXACT, number))
    drawn[0] = 0
    return 1.0 - 2 * drawn


def least_sign_flip(number: int) -> float:
    """The smallest p-value that so many differences can have in `sign_flip`: 2 / 2^n, that of equal signs.

    Of more than are flipped exactly, that of as many as are: what is drawn by chance has none that is certain.
    """
    return 2.0 ** (1 - min(number, MOST_EXACT))


def holm(p_values: Mapping[Key, float], looks: int = 1) -> dict[Key, float]:
    """p-values of m tests, adjusted so that any false finding among them all has at most the level's chance.

    The i-th smallest becomes the largest of (m - j + 1) k p_j over j <= i, at most 1 (Holm, Scandinavian Journal of
    Statistics 1979). k is how often it is looked at the values, each time at more of them, to decide whether more are
    taken (Bonferroni): the chance is that of all looks together. nan stays nan, and is no test.
    """
    tested = sorted((p, number) for number, p in enumerate(p_values.values()) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, number) in enumerate(tested):
        largest = max(largest, min(1.0, looks * (len(tested) - rank) * p))
        adjusted[number] = largest
    return dict(zip(p_values, adjusted, strict=True))
