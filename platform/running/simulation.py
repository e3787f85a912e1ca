"""Whole studies without Ray: everything that a driver does, at its own speed, with workers in the same process.

For tests and benchmarks: it takes Ray Tune's place between searcher and scheduler.
"""

import itertools
from collections import deque
from collections.abc import Callable
from tempfile import NamedTemporaryFile
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from platform.running.cluster import Cluster
from platform.running.scheduler import StudyScheduler
from platform.running.searcher import StudySearcher
from platform.running.workers.parcel import PARCEL, Parcel, assigned
from platform.training.assignment import Assignment, Result

MACHINE = Cluster(lambda: {"here": {"CPU": 1e6}}, {})
"""A machine with room for whatever is asked for: the simulation's `slots` bound what runs."""
Worker = Callable[[], Result]
"""Trains one trial: each call gives the result of its next step."""


def run(
    searcher: StudySearcher,
    scheduler: StudyScheduler,
    worker: Callable[[Assignment], Worker],
    slots: int = 2,
    results: int | None = None,
) -> list[Assignment]:
    """Ask for trials while slots are free, have them report in turn, and obey the scheduler.

    Returns the trials that still run when the driver is gone: at the study's end, or after so many `results`.
    """
    running: deque[tuple[Assignment, Worker]] = deque()
    for number in itertools.count():
        suggested: Any = None
        while len(running) < slots:
            suggested = searcher.suggest(f"trial {number}")
            if suggested is None or suggested == Searcher.FINISHED:
                break
            assignment = assigned(suggested)
            running.append((assignment, worker(assignment)))
        if not running or number == results:
            assert running or suggested == Searcher.FINISHED, "everything waits, and nothing runs"
            return [assignment for assignment, _ in running]
        assignment, step = running.popleft()
        if tell(scheduler, assignment, step()) == TrialScheduler.CONTINUE:
            running.append((assignment, step))
    raise AssertionError


def tell(scheduler: StudyScheduler, assignment: Assignment, result: Result) -> str:
    """Have the scheduler hear a worker's result, and say whether the trial goes on."""
    trial: Any = SimpleNamespace(config={PARCEL: Parcel(assignment)})
    return scheduler.on_trial_result(None, trial, {"result": result})


def lose(scheduler: StudyScheduler, assignment: Assignment, error: str, before: bool = False) -> None:
    """Have the scheduler hear that a worker died, or that it had died before it was given this trial."""
    with NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(error)
        file.flush()
        trial: Any = SimpleNamespace(config={PARCEL: Parcel(assignment)}, error_file=file.name)
        controller = SimpleNamespace(_resetting_trials=[trial] if before else [])
        scheduler.on_trial_error(controller, trial)
