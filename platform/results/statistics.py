"""Student-t intervals."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % Student-t interval, t(0.975, n - 1) s / sqrt(n).

    Both are nan without values; for a single value the half-width is nan: one run says nothing about its spread.
    """
    if not values:
        return math.nan, math.nan
    number = len(values)
    mean = float(np.mean(values))
    if number == 1:
        return mean, math.nan
    quantile = float(stdtrit(number - 1, (1 + CONFIDENCE) / 2))
    return mean, quantile * float(np.std(values, ddof=1)) / math.sqrt(number)
