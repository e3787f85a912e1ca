"""How well scores rank what they judge, and what is lost by choosing with them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from platform.shifts.randomness import generator

RESAMPLES = 2000
CONFIDENCE = 0.95
LEAST_ROWS = 6
"""Of fewer rows, drawn again, an interval is too narrow to be believed."""
LEAST_RANKED = 3
"""Fewer points have no correlation: two always rank alike or opposite, whatever a selector is worth."""


def weighted_spearman(scores: Sequence[float], worth: Sequence[float]) -> float:
    """The correlation of two rankings in which the best weigh most; nan of two points, and where one ranks nothing.

    r are dense ranks over their largest, w_i = max(r_i(scores), r_i(worth))^2, and the correlation is Pearson's, with
    weights w, of weighted ranks: of a value, sum of w over what is smaller + (k + 1) / 2 times the mean of w over the k
    that equal it. Musgrave et al., arXiv:2208.07360, as their code computes it.
    """
    if len(scores) < LEAST_RANKED:
        return math.nan
    dense = [np.unique(values, return_inverse=True)[1] + 1 for values in (scores, worth)]
    weight = np.maximum(*(ranks / ranks.max() for ranks in dense)) ** 2
    first, second = (_weighted_ranks(ranks, weight) for ranks in dense)
    first, second = (ranks - np.average(ranks, weights=weight) for ranks in (first, second))
    spread = np.sqrt((weight * first**2).sum() * (weight * second**2).sum())
    return float((weight * first * second).sum() / spread) if spread > 0 else math.nan


def _weighted_ranks(ranks: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total, number = (np.bincount(ranks, weights=each) for each in (weight, np.ones(len(ranks))))
    below = np.cumsum(total) - total
    at_each = below + (number + 1) / 2 * total / np.maximum(number, 1)
    weighted: np.ndarray = at_each[ranks]
    return weighted


@dataclass(frozen=True)
class Pool:
    """What a selector chooses one of: its scores, what each is worth, and the row that it is of."""

    study: str
    rows: tuple[str, ...]
    scores: tuple[float, ...]
    worth: tuple[float, ...]

    @property
    def choice(self) -> int:
        """The position of the highest score, of equals the first."""
        return int(np.argmax(self.scores))

    @property
    def regret(self) -> float:
        """What the best is worth more than the choice."""
        return max(self.worth) - self.worth[self.choice]

    @property
    def is_worst(self) -> bool:
        """Whether nothing is worth less than the choice, and something more."""
        return self.worth[self.choice] == min(self.worth) < max(self.worth)


@dataclass(frozen=True)
class Regret:
    """What choosing from pools costs, on average over them."""

    pools: int
    mean: float
    low: float
    """Ends of the 95 % bootstrap interval of the mean over resampled rows, nan of fewer than `LEAST_ROWS`."""
    high: float
    largest: float
    worst: int
    """Pools of which the worst is chosen."""
    spearman: float
    """Weighted Spearman correlation of score and worth, mean over the pools that it can be had of."""


def regret(pools: Sequence[Pool]) -> Regret | None:
    """What is lost by choosing from each pool; None without one of two or more."""
    pools = [pool for pool in pools if len(pool.scores) > 1]
    if not pools:
        return None
    regrets = [pool.regret for pool in pools]
    low, high = _interval(pools)
    correlations = [weighted_spearman(pool.scores, pool.worth) for pool in pools]
    known = [each for each in correlations if np.isfinite(each)]
    return Regret(
        pools=len(pools),
        mean=float(np.mean(regrets)),
        low=low,
        high=high,
        largest=max(regrets),
        worst=sum(pool.is_worst for pool in pools),
        spearman=float(np.mean(known)) if known else math.nan,
    )


def _interval(pools: Sequence[Pool]) -> tuple[float, float]:
    """Ends of the interval that the mean regret has where each study's rows are drawn again, with replacement.

    Seeds of one configuration resemble each other: rows are what is independent. A pool of one row counts as often as
    its row is drawn; of a pool of several, what is chosen from are the rows that are drawn at all.
    """
    rows = sorted({(pool.study, row) for pool in pools for row in pool.rows})
    if len(rows) < LEAST_ROWS:
        return math.nan, math.nan
    drawn = dict(zip(rows, _drawn([study for study, _ in rows]), strict=True))
    total, counted = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    for pool in pools:
        there = np.array([drawn[pool.study, row] for row in pool.rows])
        weight = there[0] if len(set(pool.rows)) == 1 else np.ones(RESAMPLES)
        total += weight * (pool.regret if len(set(pool.rows)) == 1 else _regrets(pool, there > 0))
        counted += weight
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(total / counted, [tail, 1 - tail])
    return float(low), float(high)


def _drawn(studies: Sequence[str]) -> Int64[np.ndarray, "rows resamples"]:
    """How often each row is drawn, as many as there are within its study, given the study of each."""
    random = generator("bootstrap", len(studies))
    drawn = np.zeros((len(studies), RESAMPLES), np.int64)
    for study in dict.fromkeys(studies):
        own = [number for number, other in enumerate(studies) if other == study]
        drawn[own] = random.multinomial(len(own), np.full(len(own), 1 / len(own)), RESAMPLES).T
    return drawn


def _regrets(pool: Pool, there: Bool[np.ndarray, "trials resamples"]) -> Float64[np.ndarray, " resamples"]:
    """The regret of what is chosen from those of a pool that are there."""
    scores, worth = (np.where(there, np.array(each)[:, None], -np.inf) for each in (pool.scores, pool.worth))
    chosen = np.take_along_axis(worth, scores.argmax(axis=0)[None], axis=0)[0]
    lost: np.ndarray = worth.max(axis=0) - chosen
    return lost
