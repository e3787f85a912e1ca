"""Tiny studies that are trained for real, in the tests' process: without Ray, by attempts."""

from pathlib import Path

from platform.commands.before.beside import load
from platform.design.header import header
from platform.design.loading import StudyFile
from platform.records.ledger import Ledger
from platform.records.provenance import ROOT
from platform.records.storage.storage import Folder
from platform.records.store import Store
from platform.running import simulation
from platform.running.interruption import Interruption
from platform.running.scheduler import StudyScheduler
from platform.running.searcher import StudySearcher
from platform.running.slots import Slots
from platform.running.workers.code import Code
from platform.search.decisions import Search
from platform.search.judge import judges_of
from platform.training.assignment import Assignment
from platform.training.attempt import take_step
from tests.support.attempts import attempt, process_as_it_was

TINY = '''"""Does another selector choose another configuration?"""

from dataclasses import dataclass
from typing import ClassVar

from platform.methods import FDA, AdaBN, Distillation, MajorityVote, SourceOnly, TargetSupervised, TranslatedImages
from platform.networks import BiSeNet18
from platform.scores.evidence import Evidence
from platform.scores.selectors import PriorDivergence, Selector
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study


@dataclass(frozen=True, kw_only=True)
class Worst(Selector):
    """Prefers what prior divergence likes least."""

    name: ClassVar[str] = "own/worst"

    def score(self, evidence: Evidence) -> float:
        return -PriorDivergence().score(evidence)


study = Study(
    shift=town(size=(32, 64), source_images=(12, 4), target_images=(12, 4, 4)),
    arms={
        ARMS
    },
    reference="source only",
    select=SELECT,
    checkpoint="CHECKPOINT",
    search=ASHA(trials=TRIALS, grace=1.0),
    budget=Budget(steps=8, evaluations=2),
    seeds=SEEDS,
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=2),
)
'''
ARMS = """"source only": Arm(SourceOnly, learning_rate=LogUniform(1e-3, 1e-1)),
        "FDA": Arm(FDA, beta=LogUniform(0.04, 0.2), learning_rate=0.05),
        "AdaBN": Arm(AdaBN).after("source only"),"""
"""Two that are searched, and one that begins from what is chosen of the first."""
NAME = "tiny"


def study_file(
    folder: Path, select: str, checkpoint: str = "last", trials: int = 3, seeds: int = 2, arms: str = ARMS
) -> Path:
    """Write a study, by the expression of its selector; it has the same name in every folder, and proposes the same."""
    text = TINY.replace("ARMS", arms).replace("SELECT", select).replace("CHECKPOINT", checkpoint)
    text = text.replace("TRIALS", str(trials)).replace("SEEDS", str(seeds))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{NAME}.py"
    file.write_text(text, encoding="utf-8")
    return file


def train(path: Path, results: Path) -> Ledger:
    """Run what a study has not run yet to its end; what is recorded already is not trained again."""
    file = load(path)
    ledger = _ledger(file, results)
    identity = file.study.shift.identity()
    ledger.announce(header(file.study, file.name, file.question, identity, file.source, "2026-01-01T00:00:00+00:00"))
    search = Search(file.study, ledger, identity)
    interruption = Interruption(Folder(results), f"{file.name}/stop")
    slots = Slots(ledger, simulation.MACHINE)
    with process_as_it_was():
        simulation.run(
            StudySearcher(search, slots, interruption),
            StudyScheduler(search, slots, interruption, Code(ROOT)),
            _worker,
            slots=1,
        )
    ledger.close()
    assert ledger.fault is None, ledger.fault
    assert search.is_over
    return ledger


def _ledger(file: StudyFile, results: Path) -> Ledger:
    store = Store(results)
    return Ledger(store, file.name, list(file.study.arms), judges_of(file.study, store))


def _worker(assignment: Assignment) -> simulation.Worker:
    busy = attempt(assignment)
    return lambda: take_step(busy)
