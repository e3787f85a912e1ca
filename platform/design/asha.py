"""Asynchronous successive halving: its settings, its rungs, what is compared there, the cut, and who is picked."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from platform.design.ranges import check_number, check_whole

PARALLEL = 4
"""Trials of an arm under way at a time, unless a study says otherwise: docs/search.md has what others would cost."""


def cut(values: Sequence[float], reduction: int) -> float:
    """The least value at a rung that goes on: the k-th best of `values`, k = max(1, n // reduction).

    `values` are those of the n trials of the arm that came there so far; without `ASHA.promote` the last is the trial's
    own.
    """
    return sorted(values, reverse=True)[max(1, len(values) // reduction) - 1]


def smoothed(values: Sequence[float], smoothing: int) -> float:
    """The mean of the last `smoothing` values, or of all where there are fewer."""
    return statistics.fmean(values[-smoothing:])


def best(reached: Sequence[tuple[int, float]]) -> int | None:
    """The position of the trial that is picked, of those that did not fail; None where there is none.

    Each is given as the step that it reached and its value there. It is the one that came furthest; of several the one
    with the highest value there, and of equals the first.
    """
    return max(range(len(reached)), key=reached.__getitem__, default=None)


@dataclass(frozen=True, kw_only=True)
class ASHA:
    """Asynchronous successive halving (Li et al., MLSys 2020, arXiv 1810.05934), the same on any machines.

    At each rung a trial waits until it is among the best 1/reduction of its arm's trials seen at that rung, as
    published; without `promote` it is judged as it comes, as Ray Tune and Syne Tune have it. docs/search.md
    compares them. Departures: the rungs begin after the warm-up, and compare the mean of several evaluations, never a
    single one; where no trial came to its end, the best that waits does. What was seen so far does not depend on which
    machine was faster: see `platform.search.clock`.
    """

    trials: int
    """Search trials per arm; the published default is the first."""
    grace: float = 0.2
    """Fraction of the steps from the end of the warm-up to the first rung."""
    reduction: int = 2
    """One in `reduction` trials goes on; each rung is `reduction` times as far from the warm-up as the one before."""
    smoothing: int = 3
    """Evaluations up to and including a rung's whose mean is compared there."""
    parallel: int | None = None
    """Trials of an arm that the search has under way, on whatever machines; None is 4. An arm of fewer uses all."""
    promote: bool = True
    """Whether trials wait at rungs until they are among the best 1/reduction; else they are judged as they come."""

    def __post_init__(self) -> None:
        check_whole(self, "trials", least=1)
        rule = "a fraction of the steps, a number above 0 and at most 1, which stops no trial"
        check_number(self, "grace", rule, lambda grace: 0 < grace <= 1)
        check_whole(self, "reduction", least=2)
        check_whole(self, "smoothing", least=1)
        if self.parallel is not None:
            check_whole(self, "parallel", least=1)
            if self.parallel > self.trials:
                raise ValueError(
                    f"ASHA.parallel must be at most ASHA.trials, {self.trials}, got {self.parallel}; leave it out, or "
                    "search more trials"
                )
        if not isinstance(self.promote, bool):
            raise ValueError(f"ASHA.promote must be True or False, got {self.promote!r}")

    @property
    def at_a_time(self) -> int:
        """`parallel`, as a number; an arm of fewer trials has them all under way."""
        return PARALLEL if self.parallel is None else self.parallel

    def least(self, trials: int) -> int:
        """How many of so many trials go on from a rung at least, if none fails."""
        return max(1, trials // self.reduction) if self.promote else 1

    def compared(self, values: Sequence[float]) -> float:
        """What is compared of a trial at a rung, given its values at every evaluation up to it."""
        return smoothed(values, self.smoothing)

    def rungs(self, evaluated_steps: Sequence[int], warm_up: float) -> tuple[int, ...]:
        """The steps at which trials may be stopped, fractions being the decimals that they are written as."""
        return rungs(evaluated_steps, exact(warm_up), exact(self.grace), self.reduction, self.smoothing)


def rungs(
    evaluated_steps: Sequence[int], warm_up: Fraction, grace: Fraction, reduction: int, smoothing: int
) -> tuple[int, ...]:
    """Evaluated steps before the last at which successive halving compares trials.

    Rung k = 0, 1, ... lies at the first evaluation at or after (warm_up + grace * reduction**k) * steps, and not before
    the `smoothing`-th evaluation after the warm-up.
    """
    steps = evaluated_steps[-1]
    warm = [step for step in evaluated_steps if step > warm_up * steps][smoothing - 1 :]
    found, wanted = set(), warm_up + grace
    while wanted < 1:
        found.update([step for step in warm if step >= wanted * steps][:1])
        grace *= reduction
        wanted = warm_up + grace
    return tuple(sorted(found - {steps}))


def exact(part: float) -> Fraction:
    """The decimal that a fraction of the steps is written as: 0.1 is a tenth, which no float is."""
    return Fraction(str(part))
