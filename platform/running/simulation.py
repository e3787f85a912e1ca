"""Ray Tune's part of a study without Ray: everything that the driver does, at the driver's own speed."""

import itertools
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from platform.running.cluster import Cluster
from platform.running.scheduler import StudyScheduler
from platform.running.searcher import StudySearcher
from platform.training.assignment import Assignment

MACHINE = Cluster(lambda: {"here": {"CPU": 1e6}}, {})
"""Room for whatever is asked for: `slots` bound what runs."""
Worker = Callable[[], dict[str, Any]]
"""Trains one trial: each call gives what `TrialTrainable.step` gives."""


def run(
    searcher: StudySearcher,
    scheduler: StudyScheduler,
    worker: Callable[[Assignment], Worker],
    slots: int = 2,
    results: int | None = None,
) -> list[Assignment]:
    """Ask for trials while slots are free, have them report in turn, and obey the scheduler; the trials still running.

    With `results` the driver is gone after so many of them.
    """
    running: deque[tuple[Assignment, Worker]] = deque()
    for number in itertools.count():
        suggested: Any = None
        while len(running) < slots:
            suggested = searcher.suggest(f"trial {number}")
            if suggested is None or suggested == Searcher.FINISHED:
                break
            running.append((suggested["assignment"], worker(suggested["assignment"])))
        if not running or number == results:
            assert running or suggested == Searcher.FINISHED, "everything waits, and nothing runs"
            return [assignment for assignment, _ in running]
        assignment, step = running.popleft()
        trial: Any = SimpleNamespace(config={"assignment": assignment})
        if scheduler.on_trial_result(None, trial, step()) == TrialScheduler.CONTINUE:
            running.append((assignment, step))
    raise AssertionError
