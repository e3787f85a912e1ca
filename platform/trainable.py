"""The Ray Trainable around a training run: one step of Ray Tune is the training up to the next evaluation."""

import io
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ray import tune

from platform import figures
from platform.files import write_whole
from platform.methods.method import Method
from platform.metrics import cityscapes
from platform.recipe import Recipe
from platform.records import CHECKPOINT, PICTURE, PREDICTIONS, Ask, Report, Store
from platform.shifts.shift import DataError, Shift
from platform.training import Diverged, TrainingRun, make_deterministic

REPORT = "report"
FAILURE = "failure"


class Failure(NamedTuple):
    """Why a trial cannot go on."""

    reason: str
    retry: bool
    """Whether the reason lies outside the trial."""


@dataclass(frozen=True)
class Assignment:
    """Everything that a worker needs to train one trial."""

    ask: Ask
    method: Method
    recipe: Recipe
    shift: Shift
    evaluated_steps: tuple[int, ...]
    results: Path
    reported: int
    """The last step that the driver has on record: a later one in the checkpoint is reported again."""
    cpus: int

    @property
    def name(self) -> str:
        """What Ray's tools call this trial: arm, method, phase and number."""
        arm = "".join(letter if letter.isalnum() or letter in "=.+-" else "_" for letter in self.ask.arm)
        return f"{arm}-{type(self.method).__name__}-{self.ask.phase}{self.ask.number}-{self.ask.trial.id[:6]}"


class TrialTrainable(tune.Trainable):
    """Trains whichever assignment its configuration holds; the actor is reused from trial to trial."""

    def setup(self, config: dict[str, Any]) -> None:
        self.assignment: Assignment = config["assignment"]
        self._run: TrainingRun | None = None
        self._broken = False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial; not after an unknown error, which may have left the process or its GPU broken."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        usable = not self._broken
        self.setup(new_config)
        return usable

    def __repr__(self) -> str:
        return self.assignment.name

    def step(self) -> dict[str, Any]:
        """Train to the next evaluation; a failure is reported with its reason instead of raised.

        Ray would retry an exception: only a lost worker deserves that.
        """
        try:
            return {REPORT: self._next_report()}
        except Diverged as reason:
            return {FAILURE: Failure(f"diverged: {reason}", retry=False)}
        except torch.OutOfMemoryError as reason:
            remedy = "lower the recipe's batch or network_width, or raise Budget.gpus"
            return {FAILURE: Failure(f"out of memory: {_line(reason)}; {remedy}", retry=True)}
        except DataError as reason:
            return {FAILURE: Failure(f"data: {_line(reason)}", retry=True)}
        except Exception as reason:
            traceback.print_exc()
            self._broken = True
            return {FAILURE: Failure(f"{type(reason).__name__}: {_line(reason)}", retry=True)}

    def cleanup(self) -> None:
        self._run = None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: every report leaves a checkpoint under the trial's id, which outlives Ray's own bookkeeping."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, see `save_checkpoint`."""

    def _next_report(self) -> Report:
        if self._run is None:
            self._run, unseen = start(self.assignment)
            if unseen is not None:
                return unseen
        return advance(self.assignment, self._run)


def start(assignment: Assignment) -> tuple[TrainingRun, Report | None]:
    """The training run of an assignment, restored from its last checkpoint if there is one.

    The report that belongs to the checkpoint comes with it when the driver has not got it on record.
    """
    make_deterministic(assignment.cpus)
    trial = assignment.ask.trial
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = TrainingRun(assignment.method, assignment.recipe, assignment.shift.open(), trial.seed, trial.steps, device)
    checkpoint = _folder(assignment) / CHECKPOINT
    if not checkpoint.exists():
        return run, None
    report = Report(**run.restore(checkpoint.read_bytes())[REPORT])
    return run, report if report.step > assignment.reported else None


def advance(assignment: Assignment, run: TrainingRun) -> Report:
    """Train to the next evaluation, evaluate, and leave a checkpoint that holds the report."""
    began = time.perf_counter()
    target = next(step for step in assignment.evaluated_steps if step > run.step)
    losses = run.advance(target - run.step)
    groups = assignment.shift.groups
    confusions = {
        "source/val": run.evaluate(run.splits.source_val),
        "target/val": run.evaluate(run.splits.oracle.val),
    }
    source, oracle = cityscapes(confusions["source/val"], groups), cityscapes(confusions["target/val"], groups)
    if run.step == run.steps and assignment.ask.trial.confirms:
        confusions["target/test"] = run.evaluate(run.splits.oracle.test)
        _keep_predictions(assignment, run)
    report = Report(
        step=run.step,
        seconds=time.perf_counter() - began,
        metrics={
            "source/miou": source.miou,
            "source/accuracy": source.accuracy,
            "oracle/miou": oracle.miou,
            "oracle/accuracy": oracle.accuracy,
            "learning_rate": run.learning_rate,
            **losses,
        },
        confusions={split: matrix.tolist() for split, matrix in confusions.items()},
    )
    write_whole(_folder(assignment) / CHECKPOINT, run.save({REPORT: vars(report)}))
    return report


def _keep_predictions(assignment: Assignment, run: TrainingRun) -> None:
    """Leave a few test predictions in the trial's folder, as arrays and as a picture."""
    kept = run.predictions(run.splits.oracle.test)
    arrays = io.BytesIO()
    np.savez_compressed(arrays, allow_pickle=False, **kept)
    figure = figures.prediction_picture(kept["images"], kept["truth"], kept["prediction"], assignment.shift.groups)
    write_whole(_folder(assignment) / PREDICTIONS, arrays.getvalue())
    write_whole(_folder(assignment) / PICTURE, figures.png(figure))


def _folder(assignment: Assignment) -> Path:
    return Store(assignment.results).trial_folder(assignment.ask.trial.id)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"
