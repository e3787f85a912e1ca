"""How long a study will take, from the pace of earlier trials: its search played on made-up curves."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from platform.design.plan import Plan, PlannedRow, teraflops
from platform.design.study import Study
from platform.records.trial import evaluated_steps
from platform.results.earlier.pace import Measured, Pace, pace_of
from platform.results.replay.duration import Work, duration
from platform.results.replay.replay import Curve, Repetition

RUN_SECONDS = 45.0
"""What a run takes besides its trials on a laptop: Python, Ray, its workers, MLflow and the table."""
HANDOVER_SECONDS = 0.2
"""Until a worker has its next trial."""
EVALUATION_STEPS, TEST_STEPS = 5.0, 9.0
"""Steps of training that an evaluation of a search and of a confirm trial is reckoned to take, as on `town`."""
DRAWS = 5
"""Searches whose median is taken: how many trials are stopped is a matter of chance."""


@dataclass(frozen=True)
class Forecast:
    """How long a study will take."""

    seconds: float
    measured: bool
    """Whether the pace was measured, or reckoned from the operations."""


def forecast(study: Study, planned: Plan, trials: Sequence[Measured], slots: int, on_gpu: bool) -> Forecast:
    """How long a study takes on so many slots of the machines that trained these trials, which may have GPUs."""
    known = {row.row.name: pace_of(row.method, study.shift.name, row.work, row.pixels, trials) for row in planned.rows}
    paces = {row.row.name: known[row.row.name] or _reckoned(row, on_gpu) for row in planned.rows}
    seconds = statistics.median(
        duration({row.row.name: _row(study, row, paces[row.row.name], draw) for row in planned.rows}, slots)
        for draw in range(DRAWS)
    )
    return Forecast(RUN_SECONDS + seconds, None not in known.values())


def _reckoned(planned: PlannedRow, on_gpu: bool) -> Pace:
    """The pace on a row's share of usual devices."""
    slot = planned.row.slot
    share = slot.gpus if on_gpu else 0
    step = planned.work / (1000 * teraflops(share > 0) * (share or slot.cpus))
    return Pace(step, EVALUATION_STEPS * step, TEST_STEPS * step, 0.0)


def _row(study: Study, planned: PlannedRow, pace: Pace, draw: int) -> Work:
    """A row of which nothing is trained yet, whose trials keep the order that they have at the first rung."""
    row = planned.row
    steps = evaluated_steps(row.budget.steps, row.evaluations)
    confirm = pace.start + HANDOVER_SECONDS + row.budget.steps * pace.step + len(steps) * pace.test
    search = None
    if row.search is not None and row.search_trials:
        chance = random.Random(f"{row.name} {draw}")
        lengths = [step - before for before, step in zip((0, *steps), steps, strict=False)]
        seconds = [length * pace.step + pace.evaluation for length in lengths]
        seconds[0] += pace.start + HANDOVER_SECONDS
        curves = [Curve((chance.random(),) * len(steps), False, tuple(seconds)) for _ in range(row.search_trials)]
        search = Repetition(curves, steps, study.rungs, row.search)
    after = tuple(given.name for given in row.given)
    return Work(search, [confirm] * len(row.confirm_numbers), after, row.arm.tuner)
