"""What a number of seeds can show: the smallest difference that a study finds four times out of five."""

import functools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import gammaincinv, ndtr, stdtrit

from platform.results.statistics.significance import LEVEL

POWER = 0.8
ASSUMED_DEVIATION = 0.02
"""Of a paired difference in mIoU between seeds, where no earlier record says: 2 points."""
MOST_SEEDS = 1000
QUANTILES = 2000
"""By which an expectation over what seeds show is taken: more change the fourth digit of no power."""


def power(difference: float, deviation: float, seeds: int, comparisons: int = 1) -> float:
    """The chance to find a true difference by the paired t-test, at the level that Holm asks of the first of several.

    P(|T| > c) of a noncentral t about z = difference sqrt(n) / deviation, where c = t(1 - 0.05 / (2 m), n - 1): the
    mean of Phi(z - c s) + Phi(-z - c s) over the deviation s that n seeds show, of which n - 1 times the square is
    chi-squared. SciPy's own noncentral t has no value for few seeds and many comparisons.
    """
    if seeds < 2:
        return 0.0
    critical = float(stdtrit(seeds - 1, 1 - LEVEL / comparisons / 2))
    centre = difference * math.sqrt(seeds) / deviation
    shown = critical * _deviations_shown(seeds)
    return float(np.mean(ndtr(centre - shown) + ndtr(-centre - shown)))


@functools.cache
def _deviations_shown(seeds: int) -> Float[np.ndarray, " samples"]:
    """Quantiles of the standard deviation that so many seeds show of a true one of 1."""
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.sqrt(2 * gammaincinv((seeds - 1) / 2, levels) / (seeds - 1))


def smallest_difference(deviation: float, seeds: int, comparisons: int = 1) -> float:
    """The smallest true difference that so many seeds find with 80 % power; nan for one seed, which finds none.

    `deviation` is that of paired differences between seeds, and differences have its unit.
    """
    if seeds < 2 or math.isnan(deviation):
        return math.nan
    return _in_deviations(seeds, comparisons) * deviation


@functools.cache
def _in_deviations(seeds: int, comparisons: int) -> float:
    """By halving: power grows with the difference."""
    low, high = 0.0, 1.0
    while power(high, 1.0, seeds, comparisons) < POWER:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, 1.0, seeds, comparisons) < POWER else (low, middle)
    return high


def seeds_for(difference: float, deviation: float, comparisons: int = 1) -> int | None:
    """How many seeds find a true difference with 80 % power; None where a thousand do not."""
    numbers = range(2, MOST_SEEDS + 1)
    return next((seeds for seeds in numbers if power(difference, deviation, seeds, comparisons) >= POWER), None)


def pooled(samples: Sequence[Sequence[float]]) -> float:
    """The standard deviation that several samples have about their own means; nan where none has two values.

    A sample of one value throughout, and one that is there twice or with the other sign, say nothing more of it: they
    come of rows that ran the same trials, and would make all others look steadier, or better known, than they are.
    """
    known = [max(tuple(sample), tuple(-value for value in sample)) for sample in samples if len(sample) > 1]
    if not known:
        return math.nan
    spread = [np.asarray(sample) for sample in dict.fromkeys(known) if len({*sample}) > 1]
    squares = sum(float(((sample - sample.mean()) ** 2).sum()) for sample in spread)
    return math.sqrt(squares / sum(len(sample) - 1 for sample in spread)) if spread else 0.0
