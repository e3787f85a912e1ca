"""The study that the faults strike, and each of its trials as it is when nothing disturbs it."""

import io
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from platform import methods
from platform.design.loading import load
from platform.methods.composition import Composition
from platform.records.record import Confusion
from platform.records.trial import SEARCH_SEED, Trial
from platform.scores.metrics import cityscapes, effective_classes
from platform.shifts.shift import Pixels
from platform.study import Study
from platform.training.device.process import make_deterministic
from platform.training.evaluation import evaluate, predictions
from platform.training.run import TrainingRun

NAME = "small"
# Six search trials: with fewer, TPE proposes nothing yet, and no proposal depends on what was there before it.
TEXT = '''"""Does a fault change anything?"""

from platform.methods import Adversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study

study = Study(
    shift=town(size=(64, 64), source_images=(16, 4), target_images=(16, 4, 6)),
    arms={
        "source only": Arm(SourceOnly, learning_rate=LogUniform(1e-3, 1e-1)),
        "light": Arm(Adversarial, lambda_adv=LogUniform(1e-4, 1e-1), width=4, separable=True),
    },
    reference="source only",
    search=ASHA(trials=6, grace=0.25, reduction=2, smoothing=2),
    budget=Budget(steps=16, evaluations=8),
    seeds=2,
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=2),
)
'''


class Numbers(NamedTuple):
    """What a trial's id decides of a report."""

    step: int
    metrics: dict[str, float]
    confusions: dict[str, Confusion]


class Trained(NamedTuple):
    """A trial, trained in one go."""

    reports: tuple[Numbers, ...]
    weights: dict[str, dict[str, Tensor]]
    """Weights after the last step, by module and name."""
    predictions: dict[str, Pixels]


class Undisturbed:
    """Trains trials of the study in this process, with nothing but a training run, and remembers them by their ids."""

    def __init__(self, folder: Path, text: str = TEXT) -> None:
        file = folder / f"{NAME}.py"
        file.write_text(text)
        self.study: Study = load(file).study
        self.identity = self.study.shift.identity()
        self._trained: dict[str, Trained] = {}

    def trained(self, trial: Trial) -> Trained:
        """The whole trial, whatever became of it in a search."""
        if trial.id not in self._trained:
            self._trained[trial.id] = self._train(trial)
        return self._trained[trial.id]

    def _train(self, trial: Trial) -> Trained:
        threads = torch.get_num_threads()
        make_deterministic(trial.threads)
        try:
            method = Composition((getattr(methods, trial.method)(**trial.hyperparameters),))
            # A trial knows its network by the call that makes it; no arm of this study has one of its own.
            recipe = replace(self.study.recipe, **{**trial.recipe, "network": self.study.recipe.network})
            splits = self.study.shift.open()
            run = TrainingRun(method, recipe, splits, trial.seed, trial.steps, torch.device("cpu"))
            reports = tuple(self._report(run, trial, step) for step in trial.evaluated_steps)
            saved = torch.load(io.BytesIO(run.save({})), weights_only=True)
            return Trained(reports, saved["modules"], predictions(run, splits.oracle.test))
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(False)

    def _report(self, run: TrainingRun, trial: Trial, step: int) -> Numbers:
        means = run.advance(step - run.step)
        splits = {"source/val": run.splits.source_val, "target/val": run.splits.oracle.val}
        if trial.seed != SEARCH_SEED:
            splits["target/test"] = run.splits.oracle.test
        confusions = {
            name: evaluate(run, split, "source" if name == "source/val" else "target") for name, split in splits.items()
        }
        source, target = (
            cityscapes(confusions[name], self.study.shift.groups) for name in ("source/val", "target/val")
        )
        metrics = {
            "source/miou": source.miou,
            "source/accuracy": source.accuracy,
            "oracle/miou": target.miou,
            "oracle/accuracy": target.accuracy,
            "target/effective_classes": effective_classes(confusions["target/val"]),
            "learning_rate": run.learning_rate,
            **means,
        }
        return Numbers(step, metrics, {name: matrix.tolist() for name, matrix in confusions.items()})


def same(mine: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    """Whether two sets of named arrays are equal, bit for bit."""
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine)
