"""Two numbers of rliable for few runs: the interquartile mean, and the probability of improvement."""

import math
from collections.abc import Sequence

import numpy as np


def interquartile_mean(values: Sequence[float]) -> float:
    """The mean of the middle half: floor(n / 4) values are left out at either end; nan without values.

    Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS 2021.
    """
    if not values:
        return math.nan
    out = len(values) // 4
    return float(np.mean(sorted(values)[out : len(values) - out]))


def probability_of_improvement(values: Sequence[float], others: Sequence[float]) -> float:
    """How often a run of one row scores above a run of another, of all pairs of runs, where a tie is half of one.

    The Mann-Whitney statistic U / (n m), in [0, 1]; of runs, not of means: it does not grow with the number of seeds.
    nan without runs. Agarwal et al., NeurIPS 2021.
    """
    if not values or not others:
        return math.nan
    signs = np.sign(np.subtract.outer(values, others))
    return float((1 + signs.mean()) / 2)
