"""However many slots there are, however fast, and whatever dies or fails around them: a study decides the same."""

import dataclasses
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from platform.methods import FDA, AdaBN, Adversarial, SourceOnly
from platform.records.record import Record, Report
from platform.records.store import evidence_file
from platform.records.trial import Trial
from platform.running.simulation import Worker, lose, tell
from platform.running.workers.parcel import assigned
from platform.search.decisions import Search
from platform.study import ASHA, Arm, Budget, LogUniform, OneOf, Study
from platform.training.assignment import Assignment, Failure, Result
from tests.support.judged_study import content
from tests.support.made_evidence import Predictor
from tests.support.simulated_study import STUDY, Simulation

RATE = OneOf(0.01, 0.025, 0.05, 0.1)
STEPS, EVALUATIONS = 12, 6
ARMS = {
    "source only": Arm(SourceOnly, learning_rate=RATE),
    "momentum": Arm(SourceOnly, learning_rate=RATE, momentum=OneOf(0.9, 0.8)),
    "adversarial": Arm(Adversarial, lambda_adv=LogUniform(1e-4, 1e-1)),
    "bands": Arm(FDA, beta=LogUniform(0.016, 0.1)),
    "fixed": Arm(FDA, beta=0.05),
    "statistics": Arm(AdaBN).after("source only"),
}
"""Two of them share trials, and one begins from another."""
OUTSIDE = Failure("out of memory", "the GPU is full", retry=True)
CODE = Failure("error", "ModuleNotFoundError: No module named 'helper'", retry=True)
ITSELF = Failure("diverged", "the segmentation loss is nan", retry=False)


def any_study(random: Random, select: str) -> Study:
    """Those arms, searched in any way."""
    trials = random.randint(2, 7)
    search = ASHA(
        trials=trials,
        grace=random.choice((0.15, 0.3, 0.5)),
        reduction=random.choice((2, 3)),
        smoothing=random.choice((1, 2)),
        parallel=random.randint(1, trials),
        promote=random.random() < 0.5,
    )
    budget = Budget(steps=STEPS, evaluations=EVALUATIONS)
    return dataclasses.replace(STUDY, arms=ARMS, search=search, budget=budget, select=select)


def course_of(trial: Trial) -> Random:
    """What decides the course of a trial: what it means, but not its id, which changes with the code."""
    return Random(f"{trial.method} {trial.hyperparameters | trial.resolved} {trial.recipe} {trial.seed}")


def result_at(trial: Trial, step: int) -> Result:
    """What comes of training a trial to a step: any curve, and some that diverge or collapse."""
    random = course_of(trial)
    fails, collapses = (random.randint(1, STEPS) if random.random() < 0.15 else STEPS + 1 for _ in range(2))
    if trial.seed == 0 and step >= fails:
        return ITSELF
    value = sum(random.gauss(0.05, 0.1) for _ in range(step))
    classes = 1.0 if step >= collapses else 9.0
    return Report(step, 0.0, {"source/miou": value, "target/effective_classes": classes}, {})


def predictor_of(trial: Trial, step: int) -> Predictor:
    """One of a few, by what the trial is and the step."""
    random = Random(f"{course_of(trial).random()} {step}")
    return Predictor(right=random.choice((0.4, 0.6, 0.8)), margin=random.choice((2.0, 4.0)), kept=0.7)


class Run(Simulation):
    """A run of a study, whose workers leave evidence where a selector reads it, and tell what they trained."""

    def __init__(self, folder: Path, study: Study, trained: Counter[tuple[str, int]]) -> None:
        super().__init__(folder, study)
        self.trained = trained

    def worker(self, assignment: Assignment, fails: str = "") -> Worker:
        trial = assignment.ask.trial
        steps = iter([step for step in trial.evaluated_steps if step > assignment.reported])

        def train() -> Result:
            step = next(steps)
            self.trained[trial.id, step] += 1
            result = result_at(trial, step)
            if isinstance(result, Report) and self.study.selector is not None:
                evidence = content(predictor_of(trial, step), trial.seed)
                (self.ledger.store.trial_folder(trial.id) / evidence_file(step)).write_bytes(evidence)
            return result

        return train

    def by(self, random: Random, slots: int, troubled: bool) -> bool:
        """Train on slots of random speeds; False when the driver was killed before the end."""
        running: list[tuple[Assignment, Worker]] = []
        while not troubled or random.random() > 0.02:
            while len(running) < slots:
                suggested = self.searcher.suggest("next")
                if suggested is None or suggested == Searcher.FINISHED:
                    break
                assignment = assigned(suggested)
                running.append((assignment, self.worker(assignment)))
            if not running:
                return True
            assignment, train = running.pop(random.randrange(len(running)))
            trouble = random.random() if troubled else 1.0
            if trouble < 0.05:
                lose(self.scheduler, assignment, "the worker died")
                continue
            began = bool(self.ledger.records[assignment.ask.trial.id].reports)
            result = OUTSIDE if trouble < 0.08 else CODE if trouble < 0.1 and not began else train()
            if tell(self.scheduler, assignment, result) == TrialScheduler.CONTINUE:
                running.append((assignment, train))
        return False


def decisions(run: Run) -> dict[Any, Any]:
    return {ask.place: (ask.trial.id, run.ledger.ended(ask)) for ask in run.ledger.asks}


def decided_alone(folder: Path, study: Study) -> tuple[dict[Any, Any], Counter[tuple[str, int]]]:
    run = Run(folder, study, Counter())
    assert run.by(Random(0), 1, troubled=False)
    return decisions(run), run.trained


def decided_in_trouble(folder: Path, study: Study, random: Random) -> tuple[dict[Any, Any], Counter[tuple[str, int]]]:
    """A study that is run again and again, each time on other slots, which fail and die, but for the last times."""
    trained = Counter[tuple[str, int]]()
    for number in range(30):
        run = Run(folder, study, trained)
        ended = run.by(random, random.randint(1, 7), troubled=number < 6)
        run.ledger.close()
        waits = any(record.is_given_up for record in run.ledger.records.values())
        assert run.ledger.fault is None
        if ended and not waits:
            return decisions(run), trained
    raise AssertionError("what fails from outside is not tried again")


@pytest.fixture(autouse=True)
def _uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What trials cost decides nothing, and takes longer to count than all else here."""
    monkeypatch.setattr(Search, "first_record", lambda search, ask: Record(ask.trial, provenance={}, cost={}))


@pytest.mark.parametrize(
    ("select", "seed"),
    [
        pytest.param(select, seed, marks=() if seed in shown else pytest.mark.thorough)
        for select, shown in {"source/miou": range(6), "population/ensv": (9, 14)}.items()
        for seed in range(20)
    ],
)
def test_whatever_happens_a_study_decides_as_on_one_slot_where_nothing_does(
    select: str, seed: int, tmp_path: Path
) -> None:
    random = Random(f"any slots {seed}")
    study = any_study(random, select)
    alone, trained_alone = decided_alone(tmp_path / "alone", study)
    decided, trained = decided_in_trouble(tmp_path / "in trouble", study, random)
    assert decided == alone
    assert set(trained) == set(trained_alone), "no evaluation is wasted"
    assert set(trained.values()) == {1}, "none is trained twice"
    assert all(end is not None for _, end in decided.values())
