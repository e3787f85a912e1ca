"""Ranks as far as seeds can tell them: for each row the best and the worst place that it may have."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from platform.results.statistics.significance import LEVEL, holm, paired_t


@dataclass(frozen=True)
class Ranks:
    """The places that a row may have among those that it is compared with, 1 the best; nan for one that has none."""

    best: float
    worst: float


UNRANKED = Ranks(math.nan, math.nan)


def pairs_told(scores: Mapping[str, Mapping[int, float]]) -> dict[tuple[str, str], float]:
    """p-values of all pairs of rows, by their scores of shared seeds, adjusted for as many pairs as there are."""
    pairs = itertools.combinations(scores, 2)
    return holm({(one, other): paired_t(paired(scores[one], scores[other])) for one, other in pairs})


def paired(one: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    """The differences of two rows on the seeds that both have, in their order."""
    return [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]


def ranks(scores: Mapping[str, Mapping[int, float]]) -> dict[str, Ranks]:
    """The ranks of rows, by score and seed: all of them are right at once with a chance of 95 %.

    A row ranks behind those that are told to be better, and before those told to be worse, by paired t-tests of all
    pairs that are adjusted by Holm's method (as in Al Mohamad, Goeman and van Zwet, Biometrics 2022, who take Tukey's).
    """
    better = dict.fromkeys(scores, 0)
    worse = dict.fromkeys(scores, 0)
    for (one, other), p in pairs_told(scores).items():
        if p <= LEVEL:
            ahead, behind = (one, other) if sum(paired(scores[one], scores[other])) > 0 else (other, one)
            worse[ahead] += 1
            better[behind] += 1
    return {name: Ranks(1 + better[name], len(scores) - worse[name]) for name in scores}
