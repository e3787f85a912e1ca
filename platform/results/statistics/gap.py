"""The share of a gap that is closed: a ratio of two means over the same seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from platform.results.statistics.intervals import NO_BOUNDS, Bounds, quantile


@dataclass(frozen=True)
class Share:
    """How much of a gap is closed; 0 is no better than its lower end, 1 as good as its upper end."""

    value: float
    bounds: Bounds
    """95 %, none where the seeds do not tell the gap from no gap at all."""


NO_SHARE = Share(math.nan, NO_BOUNDS)


def share(gains: Sequence[float], gaps: Sequence[float], looks: int = 1) -> Share:
    """The ratio of the mean gain to the mean gap, of the same seeds, with its interval by Fieller's theorem.

    All r for which a paired t-test does not tell gain - r gap from 0: with t of `quantile`, means g and h, and
    variances of the means a (of gains), b (of gaps) and their covariance c,
    r = (g h - t^2 c +- sqrt((g h - t^2 c)^2 - (h^2 - t^2 b) (g^2 - t^2 a))) / (h^2 - t^2 b), where h^2 > t^2 b
    (Fieller, Journal of the Royal Statistical Society B 1954). It covers 95 % from two seeds on, where no
    interval counts as one of all ratios.
    """
    number = len(gains)
    if not number or np.mean(gaps) == 0:
        return NO_SHARE
    gain, gap = float(np.mean(gains)), float(np.mean(gaps))
    if number < 2:
        return Share(gain / gap, NO_BOUNDS)
    square = quantile(number, looks) ** 2
    (a, c), (_, b) = np.cov(gains, gaps) / number
    scale = gap**2 - square * b
    if scale <= 0:
        return Share(gain / gap, NO_BOUNDS)
    middle = gain * gap - square * c
    reach = math.sqrt(max(0.0, middle**2 - scale * (gain**2 - square * a)))
    return Share(gain / gap, Bounds((middle - reach) / scale, (middle + reach) / scale))
