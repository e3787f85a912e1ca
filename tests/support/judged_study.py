"""A driver without Ray, whose workers leave evidence of made predictors: selectors stop and pick by it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from platform.design.header import header as header_of
from platform.methods import SourceOnly, TargetSupervised
from platform.records.ledger import Ledger
from platform.records.provenance import ROOT
from platform.records.record import Ask, Report
from platform.records.storage.storage import Folder
from platform.records.store import Store, evidence_file
from platform.records.trial import Trial
from platform.running import simulation
from platform.running.interruption import Interruption
from platform.running.scheduler import StudyScheduler
from platform.running.searcher import StudySearcher
from platform.running.slots import Slots
from platform.running.workers.code import Code
from platform.scores.evidence import Evidence, saved
from platform.scores.selectors import Selector
from platform.search.decisions import Search
from platform.search.judge import judges_of
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, OneOf, Study
from platform.training.assignment import Assignment
from tests.support.made_evidence import Predictor, evidence_of

RATES = (0.001, 0.004, 0.01, 0.025, 0.05, 0.1)
"""All are tried, the published default first."""
STUDY = Study(
    shift=town(size=(64, 64)),
    arms={
        "source only": Arm(SourceOnly, learning_rate=OneOf(*RATES)),
        "target supervised": Arm(TargetSupervised, learning_rate=OneOf(*RATES)),
    },
    reference="source only",
    search=ASHA(trials=6, grace=0.25, reduction=2, smoothing=2, parallel=1, promote=False),
    budget=Budget(steps=8, evaluations=4),
    seeds=2,
)
IDENTITY = STUDY.shift.identity()
Metrics = Callable[[Trial, int], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Sure(Selector):
    """Mean of the largest logit: the higher, the lower the learning rate was."""

    weight: float = 1.0

    def score(self, evidence: Evidence) -> float:
        return self.weight * float(evidence.target.logits.astype(float).max(axis=1).mean())


def by(select: str | Selector, study: Study = STUDY) -> Study:
    """The study, with another selector."""
    return replace(study, select=select)


def quality(trial: Trial) -> float:
    """How good a trial is made to be, from 0, at the lowest learning rate, to 1, at the highest."""
    return RATES.index(trial.recipe["learning_rate"]) / (len(RATES) - 1)


def predictor_of(trial: Trial, step: int) -> Predictor:
    """The better, the higher the learning rate, the later the step; the less sure, the higher the learning rate."""
    rises = 0.3 + 0.5 * quality(trial) + step / 80
    return Predictor(right=round(rises, 3), margin=round(8 - 5 * quality(trial), 3), kept=round(rises, 3))


@functools.cache
def made(predictor: Predictor, seed: int) -> Evidence:
    return evidence_of(predictor, seed)


@functools.cache
def content(predictor: Predictor, seed: int) -> bytes:
    return saved(made(predictor, seed))


def evidence(trial: Trial, step: int) -> Evidence:
    """What a trial leaves at a step."""
    return made(predictor_of(trial, step), trial.seed)


def metrics(trial: Trial, step: int) -> dict[str, float]:
    """What a trial reports: on the source and with target labels, the middle of the learning rates is the best."""
    value = 0.5 - abs(quality(trial) - 0.4) / 2 + step / 100 + trial.seed / 1000
    return {"source/miou": value, "oracle/miou": value / 2, "target/effective_classes": 9.0}


class Judged:
    """A driver of a study with a selector that looks at evidence."""

    def __init__(self, folder: Path, study: Study, name: str = "judged", slots: int = 1) -> None:
        self.store = Store(folder)
        self.study, self.name, self.slots = study, name, slots
        self.reports = 0
        self.metrics: Metrics = metrics
        self.confusions: Callable[[Trial, int], dict[str, Any]] = lambda trial, step: {}
        self.ledger = Ledger(self.store, name, list(study.arms), judges_of(study, self.store))
        if self.ledger.header is None:
            self.ledger.announce(header_of(study, name, "Who picks?", IDENTITY, "", "2026-01-01T00:00:00+00:00"))
        self.search = Search(study, self.ledger, IDENTITY)

    def run(self, results: int | None = None) -> "Judged":
        """Run to the end, or to a number of results, after which the driver is gone. Raises what ended it."""
        interruption = Interruption(Folder(self.store.folder), "stop")
        shared = Slots(self.ledger, simulation.MACHINE)
        searcher = StudySearcher(self.search, shared, interruption)
        scheduler = StudyScheduler(self.search, shared, interruption, Code(ROOT))
        try:
            simulation.run(searcher, scheduler, self._worker, self.slots, results)
        finally:
            self.ledger.close()
        if self.ledger.fault is not None:
            raise self.ledger.fault
        return self

    def _worker(self, assignment: Assignment) -> simulation.Worker:
        trial = assignment.ask.trial
        steps = iter([step for step in trial.evaluated_steps if step > assignment.reported])

        def step() -> Report:
            self.reports += 1
            at = next(steps)
            file = self.store.trial_folder(trial.id) / evidence_file(at)
            file.write_bytes(content(predictor_of(trial, at), trial.seed))
            return Report(at, 0.0, self.metrics(trial, at), self.confusions(trial, at))

        return step

    def decisions(self) -> dict[str, Any]:
        """All that the study decided, whichever code its trials' ids stand for."""
        return {
            "asks": {ask.name: ask.trial.recipe["learning_rate"] for ask in self.ledger.asks},
            "ends": {ask.name: self.ledger.ended(ask) for ask in self.ledger.asks},
        }

    def rates(self, arm: str, state: str = "complete") -> list[float]:
        """The learning rates of an arm's search trials that ended so."""
        ended = ((ask, self.ledger.ended(ask)) for ask in self.ledger.asked(arm, "search"))
        return [ask.trial.recipe["learning_rate"] for ask, end in ended if end is not None and end.state == state]

    def winner(self, arm: str) -> float:
        """The learning rate that an arm's confirm trials have."""
        (rate,) = {ask.trial.recipe["learning_rate"] for ask in self.ledger.asked(arm, "confirm")}
        found: float = rate
        return found

    def score(self, ask: Ask, step: int) -> float:
        """What the study makes of a trial at a step."""
        (report,) = (each for each in self.ledger.record(ask).reports if each.step == step)
        return report.metrics[self.study.row(ask.arm).selector]
