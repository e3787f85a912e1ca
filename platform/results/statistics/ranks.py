"""Ranks as far as seeds can tell them: for each row the best and the worst place that it may have."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ranks:
    """The places that a row may have among those that it is compared with, 1 the best; nan for one that has none."""

    best: float
    worst: float


UNRANKED = Ranks(math.nan, math.nan)


def ranks(names: Sequence[str], told: Collection[tuple[str, str]]) -> dict[str, Ranks]:
    """The ranks of rows, by the pairs of which the first is told to be better than the second.

    A row ranks behind those that are told to be better, and before those told to be worse. Where all pairs are tested
    so that any false finding has a chance of 5 %, all ranks are right at once with one of 95 % (Al Mohamad, Goeman and
    van Zwet, Biometrics 2022, who take Tukey's test).
    """
    better = {name: sum(behind == name for _, behind in told) for name in names}
    worse = {name: sum(ahead == name for ahead, _ in told) for name in names}
    return {name: Ranks(1 + better[name], len(names) - worse[name]) for name in names}
