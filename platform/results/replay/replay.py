"""A recorded search, replayed on the search's own clock under another setting of early stopping.

A trial that the study stopped has a curve only up to there. Where another setting lets it go on, it is *open*: it may
have been stopped right there or have gone on to its last step, which gives the two ends of what is saved; it is never
picked, and compared at no later rung. Figures with open trials are estimates, and say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from platform.design.asha import ASHA, best, smoothed
from platform.search import clock
from platform.search.clock import Clock, Course


@dataclass(frozen=True)
class Curve:
    """The selector of one search trial, evaluation by evaluation, as far as it is recorded."""

    values: tuple[float, ...]
    failed: bool = False
    """Whether the trial ended there by its own fault: no setting would have let it go on."""
    seconds: tuple[float, ...] = ()
    """What each evaluation took with the training before it; there may be one more, of what followed the last value."""


@dataclass(frozen=True)
class Effect:
    """What a setting makes of one row's search. Trials are positions in the order asked."""

    trials: int
    whole: int
    """Trials with a whole curve."""
    stopped: tuple[int, ...]
    open: tuple[int, ...]
    """Let go on beyond the end of their curves."""
    full_steps: int
    """Steps without early stopping."""
    most_steps: int
    """Steps with it, if open trials go on to their last one."""
    least_steps: int
    """Steps with it, if open trials are stopped where their curves end."""
    regret: float | None
    """Among whole curves; None when nobody knows, as when the only whole one is compared with those that were cut."""
    winner_stopped: bool | None
    """Whether the best trial of those with a whole curve is stopped; None when nobody knows, as for `regret`."""


class Repetition:
    """The search of one row again, as far as its recorded curves are known: at first, not at all."""

    def __init__(
        self, curves: Sequence[Curve], evaluated_steps: Sequence[int], rungs: Sequence[int], setting: ASHA
    ) -> None:
        """Curves are in the order asked; `setting.trials` does not count."""
        self.curves = curves
        self._smoothing = setting.smoothing
        self._known = [0] * len(curves)
        course = Course(
            trials=len(curves),
            parallel=min(setting.at_a_time, len(curves)),
            evaluations=len(evaluated_steps),
            rungs=tuple(number for number, step in enumerate(evaluated_steps, start=1) if step in rungs),
            reduction=setting.reduction,
            promote=setting.promote,
        )
        self.clock = Clock(course, self)
        self.clock.advance()

    def repeat(self, number: int) -> None:
        """Make the next evaluation of a trial known."""
        self._known[number] += 1
        self.clock.advance()

    def repeat_all(self) -> None:
        """Make all that is recorded known."""
        self._known = [self.clock.course.evaluations] * len(self.curves)
        self.clock.advance()

    def wants(self, number: int) -> bool:
        """Whether a trial may be trained to another evaluation before its next decision is known."""
        known = self._known[number]
        return number in self.clock.at_work and known < self.clock.due(number) and known <= len(self._values(number))

    def next_seconds(self, number: int) -> float:
        """What a trial's next evaluation took with the training before it; nothing where that is not recorded."""
        return sum(self.curves[number].seconds[self._known[number] :][:1])

    def ask(self, number: int) -> None:
        """Nothing is proposed: what was tried stands in the records."""

    def outcome(self, number: int, evaluation: int) -> clock.Outcome | None:
        """What became of a trial at an evaluation; one that has no curve so far is as if it had failed there."""
        if evaluation > self._known[number]:
            return None
        return "went on" if evaluation <= len(self._values(number)) else "failed"

    def compared(self, numbers: Sequence[int], evaluation: int) -> Sequence[float]:
        """The means of trials' last values at a rung."""
        return [smoothed(self._values(number)[:evaluation], self._smoothing) for number in numbers]

    def _values(self, number: int) -> tuple[float, ...]:
        return self.curves[number].values


def replay(curves: Sequence[Curve], evaluated_steps: Sequence[int], rungs: Sequence[int], setting: ASHA) -> Effect:
    """Search one row again on its recorded curves, given in the order asked; `setting.trials` does not count."""
    if not curves:
        return Effect(0, 0, (), (), 0, 0, 0, None, None)
    search = Repetition(curves, evaluated_steps, rungs, setting)
    search.repeat_all()
    ends, reached = search.clock.ends, search.clock.seen
    open_ = tuple(number for number in sorted(ends) if ends[number].state == "failed" and not curves[number].failed)
    whole = [number for number, curve in enumerate(curves) if len(curve.values) == len(evaluated_steps)]
    # One whole curve beside others that were cut off is the best of itself, and tells nothing.
    cut = any(len(curve.values) < len(evaluated_steps) and not curve.failed for curve in curves)
    winner = max(whole, key=lambda number: curves[number].values[-1]) if whole and (len(whole) > 1 or not cut) else None
    healthy = [number for number in sorted(ends) if ends[number].state != "failed"]
    place = best([(reached[number], curves[number].values[reached[number] - 1]) for number in healthy])
    picked = None if place is None else healthy[place]
    steps = (0, *evaluated_steps)
    return Effect(
        trials=len(curves),
        whole=len(whole),
        stopped=tuple(number for number in sorted(ends) if ends[number].state == "stopped"),
        open=open_,
        full_steps=sum(steps[len(curve.values)] if curve.failed else steps[-1] for curve in curves),
        most_steps=sum(steps[-1] if number in open_ else steps[count] for number, count in enumerate(reached)),
        least_steps=sum(steps[count] for count in reached),
        regret=(
            curves[winner].values[-1] - curves[picked].values[-1]
            if winner is not None and picked is not None and picked in whole
            else None
        ),
        winner_stopped=None if winner is None else ends[winner].state == "stopped",
    )
