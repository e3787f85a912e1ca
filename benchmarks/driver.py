"""What a study's driver spends: `python -m benchmarks.driver`.

Searcher, scheduler, ledger and store are those of a study, with every write on the disk before it goes on, and so is
the tracker, over an MLflow in a SQLite file. Only Ray is missing, and workers make their reports up in no time.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from platform.design.header import header as header_of
from platform.methods import FDA
from platform.records.ledger import Ledger
from platform.records.provenance import ROOT
from platform.records.record import Report
from platform.records.storage.files import append_line
from platform.records.store import Store
from platform.results.mirror.tracker import Tracker
from platform.running import simulation
from platform.running.interruption import Interruption
from platform.running.scheduler import StudyScheduler
from platform.running.searcher import StudySearcher
from platform.running.slots import Slots
from platform.running.workers.code import Code
from platform.scores.metrics import SIZE
from platform.search.decisions import Search
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Study, Uniform
from platform.training.assignment import Assignment

NAME = "benchmark"
SEEDS = 5
SLOTS = 8
"""Trials that run at a time."""
METRICS = (
    "source/miou",
    "source/accuracy",
    "oracle/miou",
    "oracle/accuracy",
    "target/effective_classes",
    "learning_rate",
    "loss/cross_entropy",
    "loss/entropy",
)
PATIENCE_SECONDS = 100.0
STUDIES = ((5, 200), (1, 1000))
"""Arms, and trials of each."""


@dataclass
class Figures:
    """What was measured, in seconds."""

    trials: int = 0
    """Trials that ended."""
    reports: list[float] = field(default_factory=list)
    """What the scheduler took to enter each report, decide upon it and pass it on."""
    suggestions: list[float] = field(default_factory=list)
    """What the searcher took for each trial."""
    ended: float = 0.0
    """Until the last trial had ended."""
    mirrored: float = 0.0
    """Until MLflow held everything."""

    def __str__(self) -> str:
        return "\n".join(
            (
                f"  report       {_spread(self.reports)}",
                f"  suggestion   {_spread(self.suggestions)}",
                f"  {self.trials / self.ended:6.1f} trials per second until the last trial ended",
                f"  {self.trials / self.mirrored:6.1f} trials per second until MLflow held everything",
            )
        )


def study(arms: int, trials: int) -> Study:
    """A study with so many trials in each of so many arms, over three ranges."""
    ranges = {
        "learning_rate": LogUniform(1e-3, 1e-1),
        "momentum": Uniform(0.5, 0.99),
        "weight_decay": LogUniform(1e-6, 1e-2),
    }
    return Study(
        shift=town(),
        arms={f"arm {number}": Arm(FDA, auxiliary_weight=float(number), **ranges) for number in range(arms)},
        reference="arm 0",
        # Its trials are made up, and leave no evidence.
        select="source/miou",
        search=ASHA(trials=trials - SEEDS, grace=0.25, smoothing=2),
        budget=Budget(steps=1000, evaluations=4),
        seeds=SEEDS,
    )


def measure(asked: Study, folder: Path) -> Figures:
    """Run a study in a folder, with workers that do nothing, and follow it into an MLflow there."""
    figures = Figures()
    identity = asked.shift.identity()
    ledger = Ledger(Store(folder / "results"), NAME, list(asked.arms))
    header = header_of(asked, NAME, "", identity, source="", began="2026-01-01T00:00:00+00:00")
    ledger.announce(header)
    slots, interruption = Slots(ledger, simulation.MACHINE), Interruption(ledger.store.storage, "stop")
    search = Search(asked, ledger, identity)
    searcher = _TimedSearcher(search, slots, interruption)
    scheduler = _TimedScheduler(search, slots, interruption, Code(ROOT))
    searcher.spent, scheduler.spent = figures.suggestions, figures.reports
    tracker = Tracker(f"sqlite:///{folder}/mlflow.db", header, ledger.store)
    ledger.listeners.append(tracker)
    # A study checks its data and weights in the seconds in which MLflow is imported.
    while not tracker.connected:
        assert not tracker.trouble, tracker.trouble
        time.sleep(0.05)
    began = time.perf_counter()
    simulation.run(searcher, scheduler, _workers(), SLOTS)
    figures.ended = time.perf_counter() - began
    owed = tracker.close(patience=PATIENCE_SECONDS)
    figures.mirrored = time.perf_counter() - began
    ledger.close()
    if ledger.fault is not None:
        raise ledger.fault
    assert search.is_over
    assert not owed, f"MLflow is owed {owed}: {tracker.trouble}"
    figures.trials = sum(ledger.ended(ask) is not None for ask in ledger.asks)
    return figures


def machine(folder: Path) -> str:
    """What the figures were measured on."""
    spent: list[float] = []
    for _ in range(100):
        with _timed(spent):
            append_line(folder / "lines", b"0" * 4096)
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} cores, Python {version}, {_milliseconds(statistics.median(spent))} to write 4 kB for good"


class _TimedSearcher(StudySearcher):
    """Notes what each trial took to be suggested."""

    spent: list[float]

    def suggest(self, trial_id: str) -> Any:
        with _timed(self.spent):
            return super().suggest(trial_id)


class _TimedScheduler(StudyScheduler):
    """Notes what each report took."""

    spent: list[float]

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        with _timed(self.spent):
            return super().on_trial_result(tune_controller, trial, result)


@contextmanager
def _timed(spent: list[float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    spent.append(time.perf_counter() - began)


def _workers() -> Callable[[Assignment], simulation.Worker]:
    """Workers whose curves rise to a height that the trial's id decides."""
    random = np.random.default_rng(0)
    pool = [random.integers(0, 5000, (SIZE, SIZE)).tolist() for _ in range(32)]

    def worker(assignment: Assignment) -> simulation.Worker:
        trial = assignment.ask.trial
        left = iter([step for step in trial.evaluated_steps if step > assignment.reported])
        height = int(trial.id[:4], 16) / 2**16

        def step() -> Report:
            taken = next(left)
            value = height * (1 - 0.5 ** (4 * taken / trial.steps))
            splits = ("source/val", "target/val", "target/test")[: 2 + (trial.confirms and taken == trial.steps)]
            metrics = dict.fromkeys(METRICS, value) | {"target/effective_classes": 9.0}
            return Report(taken, 1.0, metrics, {split: pool[random.integers(len(pool))] for split in splits})

        return step

    return worker


def _spread(seconds: Sequence[float]) -> str:
    median, late = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
    return f"median {_milliseconds(median)}, 95th percentile {_milliseconds(late)} ({len(seconds)} times)"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder:
        print(machine(Path(folder)))
    for arms, trials in STUDIES:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{arms} x {trials} trials, {SLOTS} at a time")
            print(measure(study(arms, trials), Path(folder)), flush=True)


if __name__ == "__main__":
    main()
