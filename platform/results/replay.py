"""A recorded search, replayed under another setting of early stopping.

A trial that the study stopped has a curve only up to there. Where another setting lets it go on, it is *open*: it may
have been stopped right there or have gone on to its last step, which gives the two ends of what is saved; it is never
picked, and compared at no later rung. Figures with open trials are estimates, and say so.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from platform.design.asha import best, cut, smoothed

SLOTS = 2
"""Trials that run at a time, unless told otherwise."""


@dataclass(frozen=True)
class Curve:
    """The selector of one search trial, evaluation by evaluation, as far as it is recorded."""

    values: tuple[float, ...]
    failed: bool = False
    """Whether the trial ended there by its own fault: no setting would have let it go on."""


@dataclass(frozen=True)
class Outcome:
    """What a setting makes of one row's search. Trials are positions in the order asked."""

    trials: int
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
    """None when no trial with a whole curve is picked."""
    winner_stopped: bool | None
    """Whether the best trial of those with a whole curve is stopped; None when there is none."""


def replay(
    curves: Sequence[Curve],
    evaluated_steps: Sequence[int],
    rungs: Sequence[int],
    reduction: int,
    smoothing: int,
    slots: int = SLOTS,
) -> Outcome:
    """Search one row again on its recorded curves, given in the order asked."""
    judged = {number for number, step in enumerate(evaluated_steps, start=1) if step in rungs}
    reached, stopped = _run(curves, judged, reduction, smoothing, slots)
    ended = {number: curve.values for number, curve in enumerate(curves) if not curve.failed}
    whole = [number for number, values in ended.items() if len(values) == len(evaluated_steps)]
    open_ = tuple(number for number in ended if number not in stopped and number not in whole)
    winner = max(whole, key=lambda number: ended[number][-1], default=None)
    known = [number for number in ended if number not in open_ and reached[number]]
    place = best([(reached[number], ended[number][reached[number] - 1]) for number in known])
    picked = None if place is None else known[place]
    steps = (0, *evaluated_steps)
    return Outcome(
        trials=len(curves),
        stopped=tuple(sorted(stopped)),
        open=open_,
        full_steps=sum(steps[len(curve.values)] if curve.failed else steps[-1] for curve in curves),
        most_steps=sum(steps[-1] if number in open_ else steps[count] for number, count in enumerate(reached)),
        least_steps=sum(steps[count] for count in reached),
        regret=None if winner is None or picked not in whole else ended[winner][-1] - ended[picked][-1],
        winner_stopped=None if winner is None else winner in stopped,
    )


def _run(
    curves: Sequence[Curve], judged: set[int], reduction: int, smoothing: int, slots: int
) -> tuple[list[int], set[int]]:
    """How many evaluations each trial reaches, and which ones are stopped."""
    reached, stopped = [0] * len(curves), set()
    arrivals: dict[int, list[float]] = defaultdict(list)
    waiting = deque(number for number, curve in enumerate(curves) if curve.values)
    running: list[int] = []
    while waiting or running:
        while waiting and len(running) < slots:
            running.append(waiting.popleft())
        for number in list(running):
            reached[number] += 1
            values = curves[number].values[: reached[number]]
            if len(values) in judged:
                value = smoothed(values, smoothing)
                arrivals[len(values)].append(value)
                if value < cut(arrivals[len(values)], reduction):
                    stopped.add(number)
            if number in stopped or len(values) == len(curves[number].values):
                running.remove(number)
    return reached, stopped
