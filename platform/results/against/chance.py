"""Which differences of two sides are told from chance: all rows are tested together, by what their seeds can find."""

import dataclasses
import math
from collections.abc import Sequence

from platform.results.against.score import Gap, Half
from platform.results.comparison import paired
from platform.results.statistics.intervals import welch_freedom, welch_p
from platform.results.statistics.power import pooled, smallest_difference
from platform.results.statistics.significance import holm, paired_t


def judged(rows: Sequence[tuple[Half, Half, Gap]], looks: int = 1) -> list[Gap]:
    """The differences of rows, each with its p, adjusted by Holm's method for all of them, and what its seeds can find.

    Of the paired t-test where a row is paired by seed, else of Welch's; a row that has neither is not tested. What
    seeds can find follows from the spread that all rows have which are tested in the same way. `looks` is how many
    pairs of looks there may be at which two rows stopped, where they raced: each has its share of the level.
    """
    p_values = holm({number: _p(*row) for number, row in enumerate(rows)}, looks)
    tested = looks * max(1, sum(not math.isnan(p) for p in p_values.values()))
    differences = pooled([paired(this.miou, other.miou) for this, other, gap in rows if gap.way == "paired"])
    apart = [(this, other) for this, other, gap in rows if gap.way == "Welch"]
    sides = pooled([_scores(this) for this, _ in apart]), pooled([_scores(other) for _, other in apart])
    return [
        dataclasses.replace(gap, p=p_values[number], detectable=_detectable(gap, differences, sides, tested))
        if not math.isnan(p_values[number])
        else gap
        for number, (_, _, gap) in enumerate(rows)
    ]


def _p(this: Half, other: Half, gap: Gap) -> float:
    if gap.way == "paired":
        return paired_t(paired(this.miou, other.miou))
    return welch_p(_scores(this), _scores(other)) if gap.way == "Welch" else math.nan


def _scores(side: Half) -> list[float]:
    return [*side.miou.values()]


def _detectable(gap: Gap, differences: float, sides: tuple[float, float], tested: int) -> float:
    """The smallest true difference that a row's seeds find, by the deviations of differences and of either side."""
    if gap.way == "paired":
        return smallest_difference(differences, gap.seeds[0], tested)
    one, two = (deviation**2 / number for deviation, number in zip(sides, gap.seeds, strict=True))
    if not one + two:
        return 0.0
    # A t-test of as many degrees of freedom, and of the same standard error.
    number = round(welch_freedom((one, two), gap.seeds)) + 1
    return smallest_difference(math.sqrt((one + two) * number), number, tested)
