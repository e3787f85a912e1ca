"""A driver without Ray, whose workers make their curves up."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from platform.methods import FDA, Adversarial, SourceOnly, TargetSupervised
from platform.records.ledger import Ledger
from platform.records.provenance import ROOT
from platform.records.record import Record, Report
from platform.records.storage.storage import Folder
from platform.records.store import Store
from platform.records.trial import Trial
from platform.running import simulation
from platform.running.cluster import Cluster
from platform.running.interruption import Interruption
from platform.running.scheduler import StudyScheduler
from platform.running.searcher import StudySearcher
from platform.running.slots import Slots
from platform.running.workers.code import Code
from platform.search.decisions import Search
from platform.search.judge import judges_of
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Study
from platform.training.assignment import Assignment, Failure, Result

RATE = LogUniform(1e-3, 1e-1)


STUDY = Study(
    shift=town(size=(64, 64)),
    arms={
        "source only": Arm(SourceOnly, learning_rate=RATE),
        "adversarial": Arm(Adversarial, lambda_adv=LogUniform(1e-4, 1e-1)),
        "bands": Arm(FDA, beta=LogUniform(0.016, 0.1)),
        "fixed": Arm(FDA, beta=0.05),
        "target supervised": Arm(TargetSupervised, learning_rate=RATE),
    },
    reference="source only",
    select="source/miou",
    search=ASHA(trials=6, grace=0.25, reduction=2, smoothing=2),
    budget=Budget(steps=8, evaluations=4),
    seeds=2,
)
ONE_AT_A_TIME = replace(STUDY, search=ASHA(trials=6, grace=0.25, reduction=2, smoothing=2, parallel=1, promote=False))
"""The same, each search trial to its end before the next."""


IDENTITY = STUDY.shift.identity()


def report(trial: Trial, step: int) -> Report:
    """The report of a trial whose curve rises with the steps, to a height that its settings decide.

    Its id would, too, but changes with the code: which trials are stopped would then be another matter of chance.
    """
    settings = f"{trial.method} {trial.hyperparameters} {trial.recipe['learning_rate']} {trial.seed}"
    value = step / 16 + int(hashlib.sha256(settings.encode()).hexdigest()[:4], 16) / 2**18
    return Report(step, 0.0, {"source/miou": value, "oracle/miou": 1 - value, "target/effective_classes": 9.0}, {})


class Simulation:
    """A driver without Ray, whose workers make their curves up."""

    def __init__(
        self,
        folder: Path,
        study: Study = STUDY,
        slots: int = 2,
        name: str = "simulated",
        cluster: Cluster = simulation.MACHINE,
    ) -> None:
        store = Store(folder)
        self.ledger = Ledger(store, name, list(study.arms), judges_of(study, store))
        self.study = study
        self.interruption = Interruption(Folder(folder), "stop")
        self.shared = Slots(self.ledger, cluster)
        search = Search(study, self.ledger, IDENTITY)
        self.searcher = StudySearcher(search, self.shared, self.interruption)
        self.scheduler = StudyScheduler(search, self.shared, self.interruption, Code(ROOT))
        self.slots = slots
        self.reports = 0
        self.failure = Failure("diverged", "the segmentation loss is nan at step 1", retry=False)

    def run(self, results: int | None = None, fails: str = "") -> list[Assignment]:
        """Run to the end, or to a number of results, after which the driver is gone; the trials still running."""
        left = simulation.run(
            self.searcher, self.scheduler, lambda given: self.worker(given, fails), self.slots, results
        )
        self.ledger.close()
        return left

    def worker(self, assignment: Assignment, fails: str) -> simulation.Worker:
        steps = iter([step for step in assignment.ask.trial.evaluated_steps if step > assignment.reported])

        def step() -> Result:
            self.reports += 1
            return self.failure if assignment.ask.arm == fails else report(assignment.ask.trial, next(steps))

        return step

    def finished(self) -> bool:
        return self.searcher.search.is_over

    def record(self, arm: str, phase: Any) -> list[Record]:
        return [self.ledger.record(ask) for ask in self.ledger.asked(arm, phase)]


def states(records: list[Record]) -> list[str]:
    return [record.end.state for record in records if record.end is not None]
