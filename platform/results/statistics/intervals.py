"""Intervals for means over few seeds, for the difference of two, and its p: Student's t, Welch's, and the bootstrap."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

CONFIDENCE = 0.95
LEAST_BOOTSTRAPPED = 10
"""Seeds from which on the bootstrap's interval covers normal differences within a point of what it says, by
`benchmarks/coverage.py`; with fewer it cannot, since it never leaves the range of the values."""
RESAMPLES = 20_000


@dataclass(frozen=True)
class Bounds:
    """An interval by its ends; nan where there is none."""

    low: float
    high: float


NO_BOUNDS = Bounds(math.nan, math.nan)


def interval(values: Sequence[float], looks: int = 1) -> tuple[float, float]:
    """Mean and half-width of its 95 % Student-t interval, t(1 - 0.025 / k, n - 1) s / sqrt(n).

    k is how often it is looked at the values, each time at more of them, to decide whether more are taken: all k
    intervals hold at once then (Bonferroni), whichever is the last. Both are nan without values; for a single value the
    half-width is nan: one run says nothing about its spread.
    """
    if not values:
        return math.nan, math.nan
    number = len(values)
    mean = float(np.mean(values))
    if number == 1:
        return mean, math.nan
    return mean, quantile(number, looks) * float(np.std(values, ddof=1)) / math.sqrt(number)


def welch_interval(first: Sequence[float], second: Sequence[float], looks: int = 1) -> tuple[float, float]:
    """Difference of two means, of samples that share nothing, and half-width of its 95 % interval.

    Welch's: t(1 - 0.025 / k, v) sqrt(a + b) for k looks, a and b being the variances of the two means, and
    v = (a + b)^2 / (a^2 / (n - 1) + b^2 / (m - 1)) (Welch, Biometrika 34, 1947). Both are nan without values on either
    side; for a single value on one of them the half-width is nan.
    """
    if not first or not second:
        return math.nan, math.nan
    difference = float(np.mean(first) - np.mean(second))
    if min(len(first), len(second)) == 1:
        return difference, math.nan
    deviation, freedom = _welch(first, second)
    return difference, float(stdtrit(freedom, _level(looks))) * deviation if deviation else 0.0


def welch_p(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided p-value of Welch's t for the difference of two means, of samples that share nothing.

    T = difference / sqrt(a + b) on v degrees of freedom, with a, b and v as in `welch_interval`. nan for fewer than two
    values on either side; without any spread 0 for means that differ, and 1 for equal ones.
    """
    if min(len(first), len(second)) < 2:
        return math.nan
    difference = float(np.mean(first) - np.mean(second))
    deviation, freedom = _welch(first, second)
    if not deviation:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(difference) / deviation))


def _welch(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """The standard deviation of a difference of two means, and its degrees of freedom."""
    one, two = (float(np.var(values, ddof=1)) / len(values) for values in (first, second))
    return math.sqrt(one + two), welch_freedom((one, two), (len(first), len(second)))


def welch_freedom(variances: tuple[float, float], numbers: tuple[int, int]) -> float:
    """The v of `welch_interval`, by the variances of two means, each of so many values; nan where both are 0."""
    if not sum(variances):
        return math.nan
    # Of shares, since the square of a tiny variance may be 0.
    share = variances[0] / sum(variances)
    return 1 / (share**2 / (numbers[0] - 1) + (1 - share) ** 2 / (numbers[1] - 1))


def quantile(number: int, looks: int = 1) -> float:
    """t(1 - 0.025 / k, n - 1), for k looks."""
    return float(stdtrit(number - 1, _level(looks)))


def _level(looks: int) -> float:
    return 1 - (1 - (1 + CONFIDENCE) / 2) / looks


def bootstrapped(values: Sequence[float]) -> Bounds:
    """The 95 % bootstrap interval of a mean; none for fewer than 10 values, which it does not cover."""
    return bias_corrected(values) if len(values) >= LEAST_BOOTSTRAPPED else NO_BOUNDS


def bias_corrected(values: Sequence[float], resamples: int = RESAMPLES) -> Bounds:
    """The 95 % BCa bootstrap interval of a mean of two values or more, its levels widened for few; none of equal ones.

    Percentiles of the means of resamples at Phi(z0 + (z0 + z) / (1 - a (z0 + z))), z0 by the resamples below the mean,
    a = sum d^3 / (6 (sum d^2)^(3/2)) by the mean's jackknife (Efron, JASA 1987); z is that of the level
    Phi(-sqrt(n / (n - 1)) t(0.975, n - 1)) in place of 0.025 (Hesterberg, The American Statistician 2015), without
    which ten seeds cover 90 %. The resamples are always the same ones.
    """
    number = len(values)
    if np.ptp(values) == 0:
        return NO_BOUNDS
    drawn = np.random.default_rng(0).integers(number, size=(resamples, number))
    means = np.sort(np.asarray(values)[drawn].mean(axis=1))
    deviations = np.asarray(values) - np.mean(values)
    below = (np.mean(means < np.mean(values)) + np.mean(means <= np.mean(values))) / 2
    bias = ndtri(np.clip(below, 1 / resamples, 1 - 1 / resamples))
    acceleration = (deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5)
    reach = math.sqrt(number / (number - 1)) * quantile(number)
    shifted = bias + np.asarray([-reach, reach])
    levels = ndtr(bias + shifted / (1 - acceleration * shifted))
    low, high = np.quantile(means, levels)
    return Bounds(float(low), float(high))
