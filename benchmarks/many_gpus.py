"""How a study schedules 600 trials over 16 GPUs: `python -m benchmarks.many_gpus`.

Ray's own multi-node test cluster stands in for two machines of eight GPUs. Searcher, scheduler, placement, the Tuner
with its settings, records and MLflow are those of a study. Its workers are processes of their own that sleep and then
report: sixteen that import torch would take all of this machine's time. Everything shares its cores: a cluster's driver
has cores of its own, so the figures are upper bounds of what a driver takes. More made-up GPUs take longer to get their
workers, on two cores, than trials of 20 seconds take to their first rung.
"""

import itertools
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import ray
from ray import tune
from ray.cluster_utils import Cluster
from ray.tune.search import Searcher

from benchmarks import driver
from benchmarks.timeline import TOLD_SOON, Worker, overlap, stays, warm, workers
from platform.design.header import header as header_of
from platform.records.ledger import Ledger
from platform.records.provenance import ROOT
from platform.records.record import Ask, Report
from platform.records.storage.locks import study_lock
from platform.records.store import Store
from platform.results.mirror.tracker import Tracker
from platform.running import tuner
from platform.running.interruption import Interruption
from platform.running.scheduler import StudyScheduler
from platform.running.searcher import StudySearcher
from platform.running.workers.code import Code
from platform.running.workers.parcel import PARCEL, assigned
from platform.scores.metrics import SIZE
from platform.study import Study

NODES, GPUS = 2, 8
ARMS, TRIALS = 5, 120
LENGTHS = (0.0, 20.0)
"""Seconds of a whole trial."""
METRICS = driver.METRICS
STORE_BYTES = 100 * 2**20
"""Size of each node's object store: nothing large is passed around."""

HEAD = {
    "num_cpus": 0,
    "include_dashboard": False,
    "_system_config": TOLD_SOON | {"prestart_worker_first_driver": False},
}
"""A head that trains nothing, and nodes without the workers that Ray starts in case somebody needs them."""


@dataclass(frozen=True)
class Job:
    """What a worker that only sleeps needs of an `Assignment`, in classes that do not import torch."""

    ask: Ask
    resources: dict[str, float]
    name: str
    claim: str
    reported: int
    """The step up to which reports were recorded."""
    seconds: float
    """Length of a step."""


class Sleeper(tune.Trainable):
    """Reports like `TrialTrainable`, without training."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([config[PARCEL].assignment.resources])

    def setup(self, config: dict[str, Any]) -> None:
        assert "torch" not in sys.modules, "starting would take longer than training"
        self._job: Job = config[PARCEL].assignment
        self._left = iter([step for step in self._job.ask.trial.evaluated_steps if step > self._job.reported])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        time.sleep(self._job.seconds)
        trial, taken = self._job.ask.trial, next(self._left)
        value = int(trial.id[:4], 16) / 2**16 * (1 - 0.5 ** (4 * taken / trial.steps))
        splits = ("source/val", "target/val", "target/test")[: 2 + (trial.confirms and taken == trial.steps)]
        confusion = [[1234] * SIZE] * SIZE
        metrics = dict.fromkeys(METRICS, value) | {"target/effective_classes": 9.0}
        return {"result": Report(taken, self._job.seconds, metrics, dict.fromkeys(splits, confusion))}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass

    def load_checkpoint(self, checkpoint: Any) -> None:
        pass


@dataclass
class Figures:
    """What was measured, in seconds."""

    trials: int = 0
    """Trials that ended."""
    unaccounted: int = 0
    """How many reports, at least, Ray's account of its workers lacks."""
    slots: int = 0
    workers: int = 0
    """Workers that were started: more than slots if any was thrown away."""
    busy: float = 0.0
    """Share of the slots' time that they slept, while all were warm."""
    lasting: float = 0.0
    """Seconds from the first trial's first step to the last one's last."""
    rate: float = 0.0
    """Trials that ended, or left their slot to wait, per second while all slots were warm."""
    free: Sequence[float] = ()
    """Seconds from when a worker's trial ended or waits to the first step of its next one."""
    between: Sequence[float] = ()
    """Seconds from a step's end to the same trial's next one."""
    suggestions: list[float] = field(default_factory=list)
    """What the searcher took for each trial."""
    refusals: list[float] = field(default_factory=list)
    """What it took to see that there is no trial or no room."""
    reports: list[float] = field(default_factory=list)
    """What the scheduler took for each report."""
    processor: float = 0.0
    """Processor time of the driver; MLflow has a process of its own."""

    def __str__(self) -> str:
        lacking = f"; reports that Ray's account lacks: {self.unaccounted}" if self.unaccounted else ""
        return "\n".join(
            (
                f"  {self.trials} trials in {self.lasting:.0f} s on {self.workers} workers; "
                f"once all slots were warm {self.rate:.1f} per second, slots busy {self.busy:.1%}{lacking}",
                f"  next trial   {_spread(self.free)}",
                f"  next step    {_spread(self.between)}",
                f"  suggestion   {_spread(self.suggestions)}",
                f"  no trial     {_spread(self.refusals)}",
                f"  report       {_spread(self.reports)}",
                f"  driver       {1000 * self.processor / self.trials:.0f} ms of a processor per trial, "
                f"{1000 * self.processor / len(self.reports):.0f} ms per report",
            )
        )


def measure(asked: Study, seconds: float, folder: Path, nodes: int = NODES, gpus: int = GPUS) -> Figures:
    """Run a study whose trials last so many seconds on a cluster of nodes with so many GPUs each."""
    made = Cluster(initialize_head=True, head_node_args=HEAD)
    try:
        for number in range(nodes):
            # In one folder for all, each node would remove the code that the ones before it run.
            code = f"code_of_node_{number}"
            made.add_node(num_cpus=gpus, num_gpus=gpus, object_store_memory=STORE_BYTES, runtime_env_dir_name=code)
        figures = Figures(slots=nodes * gpus)
        began = time.process_time()
        with _timed_sleepers(figures, seconds / asked.budget.evaluations):
            _run(asked, made.address, folder, figures)
        figures.processor = time.process_time() - began
        _look(figures, workers(made.address))
    finally:
        made.shutdown()  # type: ignore[no-untyped-call]
    return figures


def study(arms: int, trials: int) -> Study:
    """A study with so many trials in each of so many arms, each trial with a GPU of its own, that fills all slots."""
    without = driver.study(arms, trials)
    assert without.search is not None
    parallel = min(without.search.trials, math.ceil(NODES * GPUS / arms))
    search = replace(without.search, parallel=parallel)
    return replace(without, search=search, budget=replace(without.budget, gpus=1.0))


@contextmanager
def _timed_sleepers(figures: Figures, seconds: float) -> Iterator[None]:
    """Have the Tuner of a study, with all its settings, run workers that sleep, and time what decides for them."""

    class TimedSearcher(StudySearcher):
        def suggest(self, trial_id: str) -> Any:
            began = time.perf_counter()
            suggested = super().suggest(trial_id)
            spent = time.perf_counter() - began
            if suggested is None or suggested == Searcher.FINISHED:
                figures.refusals.append(spent)
                return suggested
            figures.suggestions.append(spent)
            assignment = assigned(suggested)
            whose = (assignment.ask, assignment.resources, assignment.name, assignment.claim)
            job = Job(*whose, assignment.reported, seconds)
            return {PARCEL: SimpleNamespace(assignment=job)}

    class TimedScheduler(StudyScheduler):
        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            began = time.perf_counter()
            decision = super().on_trial_result(tune_controller, trial, result)
            figures.reports.append(time.perf_counter() - began)
            return decision

    # Imported by the workers, this module would bring torch with it.
    here = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(here)  # type: ignore[no-untyped-call]
    try:
        with patch.multiple(tuner, TrialTrainable=Sleeper, StudySearcher=TimedSearcher, StudyScheduler=TimedScheduler):
            yield
    finally:
        ray.cloudpickle.unregister_pickle_by_value(here)  # type: ignore[no-untyped-call]


def _run(asked: Study, address: str, folder: Path, figures: Figures) -> None:
    ledger = Ledger(Store(folder / "results"), driver.NAME, list(asked.arms))
    identity, interruption = asked.shift.identity(), Interruption(ledger.store.storage, "stop")
    header = header_of(asked, driver.NAME, "", identity, source="", began="2026-01-01T00:00:00+00:00")
    with interruption.listening(), study_lock(ledger.store.study_folder(driver.NAME)) as lock:
        ledger.announce(header)
        tracker = Tracker(f"sqlite:///{folder}/mlflow.db", header, ledger.store)
        ledger.listeners.append(tracker)
        assert tuner.run(asked, ledger, identity, address, Code(ROOT), interruption, lock)
        owed = tracker.close(patience=driver.PATIENCE_SECONDS)
    assert not owed, f"MLflow is owed {owed}: {tracker.trouble}"
    figures.trials = sum(ledger.ended(ask) is not None for ask in ledger.asks)


def _look(figures: Figures, found: Sequence[Worker]) -> None:
    trials = [stays(worker) for worker in found]
    steps = [step for worker in trials for stay in worker for step in stay]
    figures.workers = len(found)
    figures.unaccounted = max(0, len(figures.reports) - len(steps))
    figures.lasting = max(step.ended for step in steps) - min(step.began for step in steps)
    window = warm(found, figures.slots)
    if whole := window[1] - window[0]:
        ends = [stay[-1].ended for worker in trials for stay in worker]
        figures.rate = sum(window[0] < end <= window[1] for end in ends) / whole
        slept = sum(overlap(step.began, step.ended, window) for step in steps)
        figures.busy = slept / (figures.slots * whole)
    turns = [[(stay[0].began, stay[-1].ended) for stay in worker] for worker in trials]
    figures.free = [seconds for worker in turns for seconds in _gaps(worker)]
    figures.between = [
        seconds
        for worker in trials
        for stay in worker
        for seconds in _gaps([(step.began, step.ended) for step in stay])
    ]


def _gaps(times: Sequence[tuple[float, float]]) -> list[float]:
    return [later[0] - earlier[1] for earlier, later in itertools.pairwise(times)]


def _spread(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return f"{len(seconds)} times"
    median, late = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
    return f"median {1000 * median:.1f} ms, 95th percentile {1000 * late:.1f} ms ({len(seconds)} times)"


def main() -> None:
    """Measure, and print."""
    for seconds in LENGTHS:
        with tempfile.TemporaryDirectory() as name:
            load = os.getloadavg()[0]
            print(f"{driver.machine(Path(name))}; {load:.1f} processes wanted to compute in the minute before")
            print(f"{ARMS} x {TRIALS} trials of {seconds:g} s on {NODES} nodes of {GPUS} GPUs")
            print(measure(study(ARMS, TRIALS), seconds, Path(name)), flush=True)


if __name__ == "__main__":
    main()
