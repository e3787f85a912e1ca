"""The Ray Trainable around a training run: one step of Ray Tune is the training up to the next evaluation.

A step returns one of five: the trial's next report, why the trial failed, that it was interrupted, that the disk
failed, or that this node cannot train it; the last two are not the trial's fault. Whatever happens, the last good
checkpoint stays in the trial's folder.
"""

import gc
import io
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import ray
import torch
from ray import tune
from ray.util import get_node_ip_address

from platform import figures
from platform.health import effective_classes
from platform.methods.method import Method
from platform.metrics import cityscapes
from platform.networks.bisenet import NoWeights
from platform.recipe import Recipe
from platform.records import CHECKPOINT, CLAIM, PICTURE, PREDICTIONS, Ask, Cause, Report, trial_file
from platform.shifts.shift import DataError, Shift
from platform.storage import Mark, Storage, sees
from platform.training import Damaged, Diverged, Interrupted, TrainingRun, make_deterministic, out_of_memory

REPORT = "report"
FAILURE = "failure"
INTERRUPTED = "interrupted"
DISK = "disk"
UNFIT = "unfit"
"""Keys of what a step returns: a Report, a Failure, True, the file with what is wrong, and an UnfitNode."""
NODE_LABEL = "ray.io/node-id"
"""By which Ray's placement groups tell nodes apart."""


class Failure(NamedTuple):
    """Why a trial cannot go on."""

    cause: Cause
    reason: str
    """One line."""
    retry: bool
    """Whether the reason lies outside the trial."""
    trace: str = ""
    """The traceback of an error that nobody foresaw."""


class UnfitNode(NamedTuple):
    """A node that cannot train a trial which others may."""

    id: str
    address: str
    reason: str
    """One line."""


class Unfit(Exception):
    """This node cannot train the trial; the message says why."""


class Superseded(Exception):
    """Another worker has the trial by now: this one was taken for dead."""


class DiskFault(Exception):
    """A file that cannot be read or written; the message names it."""


@dataclass(frozen=True)
class Assignment:
    """Everything that a worker needs to train one trial."""

    ask: Ask
    method: Method
    recipe: Recipe
    shift: Shift
    storage: Storage
    reported: int
    """The last step that the driver has on record: a later one in the checkpoint is reported again."""
    resources: dict[str, float]
    """What the worker has of its node, by Ray's names."""
    stop: str
    """When this file shows in the storage, the worker stops after the current optimiser step."""
    claim: str
    """What the trial's claim file holds as long as this worker may write."""
    mark: Mark | None = None
    """What this node must see in the storage; None on one machine."""
    avoided: tuple[str, ...] = ()
    """Ids of nodes that cannot train it."""

    @property
    def name(self) -> str:
        """What Ray's tools call this trial: arm, method, phase and number."""
        arm = "".join(letter if letter.isalnum() or letter in "=.+-" else "_" for letter in self.ask.arm)
        return f"{arm}-{type(self.method).__name__}-{self.ask.phase}{self.ask.number}-{self.ask.trial.id[:6]}"


@dataclass
class Training:
    """A trial in a worker's hands: its run, and what there is of the next report."""

    run: TrainingRun
    report: Report | None = None
    """The last one."""
    seconds: float = 0.0
    """Spent on the next one, before an interruption."""
    means: dict[str, float] | None = None
    """Of what the steps before the next one noted, once they are taken."""


class TrialTrainable(tune.Trainable):
    """Trains whichever assignment its configuration holds; the actor is reused from trial to trial."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """A trial's slot, on none of the nodes that it avoids."""
        assignment: Assignment = config["assignment"]
        elsewhere = [{NODE_LABEL: f"!in({','.join(assignment.avoided)})"}] if assignment.avoided else None
        return tune.PlacementGroupFactory([assignment.resources], bundle_label_selector=elsewhere)

    def setup(self, config: dict[str, Any]) -> None:
        # What was imported stays; to look through it at every trial's end takes a quarter of a second.
        gc.freeze()
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self.assignment: Assignment = config["assignment"]
        self._training: Training | None = None
        self._parts = 1
        self._broken = False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial; not after an unknown error, which may have left the process or its GPU broken."""
        if self._broken:
            # Ray Tune forgets the trial that an actor refuses, while that of a lost worker is handed out again.
            os._exit(1)
        self._begin(new_config)
        _free_memory()
        return True

    def __repr__(self) -> str:
        return self.assignment.name

    def step(self) -> dict[str, Any]:
        """Train to the next evaluation; a failure is returned with its cause instead of raised.

        Ray would retry an exception: only a lost worker deserves that.
        """
        try:
            return {REPORT: self._next_report()}
        except (Interrupted, Superseded):
            return {INTERRUPTED: True}
        except Unfit as error:
            self._training, self._broken = None, True
            return {UNFIT: UnfitNode(ray.get_runtime_context().get_node_id(), _address(), str(error))}
        except DiskFault as fault:
            self._training = None
            return {DISK: str(fault)}
        except Exception as error:
            self._training = None
            failure = _failure(error)
            self._broken = failure.cause == "error"
            return {FAILURE: failure}

    def cleanup(self) -> None:
        self._training = None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: every report leaves a checkpoint under the trial's id, which outlives Ray's own bookkeeping."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, see `save_checkpoint`."""

    def _next_report(self) -> Report:
        """The next report; from the last checkpoint in halved batches when memory runs out for the first time."""
        try:
            return self._attempt()
        except Exception as error:
            if not (out_of_memory(error) and self._can_halve()):
                raise
        # Here the error is gone, and with it the tensors that its traceback held.
        self._training, self._parts = None, 2
        _free_memory()
        return self._attempt()

    def _attempt(self) -> Report:
        if stopped(self.assignment):
            raise Interrupted
        if self._training is None:
            self._training = start(self.assignment, self._parts)
            report = self._training.report
            if report is not None and report.step > self.assignment.reported:
                return report
        return advance(self.assignment, self._training)

    def _can_halve(self) -> bool:
        """Whether batches are whole so far, and their halves hold the two images that batch norm needs."""
        whole = self._parts == 1 and (self._training is None or self._training.run.parts == 1)
        batch = self.assignment.recipe.batch
        return whole and batch >= 4 and batch % 2 == 0


def start(assignment: Assignment, parts: int = 1) -> Training:
    """Take up a trial: from its last checkpoint if there is one that can be used, else from step 0."""
    where, mark = assignment.storage, assignment.mark
    if mark is not None and not sees(where, mark):
        raise Unfit(f"it does not see {where}")
    with _on_disk(f"{where}/{trial_file(assignment.ask.trial.id, '')}"):
        where.tidy(trial_file(assignment.ask.trial.id, ""))
    make_deterministic(assignment.ask.trial.threads)
    training = _restored(assignment) or Training(_run(assignment))
    # A trial that ran out of memory before goes on in halves.
    training.run.parts = max(parts, training.run.parts)
    return training


def stopped(assignment: Assignment) -> bool:
    """Whether the worker is asked to stop."""
    return assignment.storage.shows(assignment.stop)


def advance(assignment: Assignment, training: Training) -> Report:
    """Train to the next evaluation, evaluate, and leave a checkpoint that holds the report.

    Raises Interrupted, leaving a checkpoint of what there is, after a step or batch at which the worker is to stop.
    """
    began = time.perf_counter()
    try:
        report = _trained_and_evaluated(assignment, training)
    except Interrupted:
        training.seconds += time.perf_counter() - began
        _save(assignment, training)
        raise
    seconds = training.seconds + time.perf_counter() - began
    training.report, training.seconds, training.means = replace(report, seconds=seconds), 0.0, None
    _save(assignment, training)
    return training.report


def _trained_and_evaluated(assignment: Assignment, training: Training) -> Report:
    """The next report, but for its seconds."""
    run, interrupted = training.run, partial(stopped, assignment)
    if training.means is None:
        target = next(step for step in assignment.ask.trial.evaluated_steps if step > _reported_step(training))
        training.means = run.advance(target - run.step, interrupted)
    confusions = {
        "source/val": run.evaluate(run.splits.source_val, interrupted),
        "target/val": run.evaluate(run.splits.oracle.val, interrupted),
    }
    groups = assignment.shift.groups
    source, oracle = cityscapes(confusions["source/val"], groups), cityscapes(confusions["target/val"], groups)
    if run.step == run.steps and assignment.ask.trial.confirms:
        confusions["target/test"] = run.evaluate(run.splits.oracle.test, interrupted)
        _keep_predictions(assignment, run)
    return Report(
        step=run.step,
        seconds=0.0,
        metrics={
            "source/miou": source.miou,
            "source/accuracy": source.accuracy,
            "oracle/miou": oracle.miou,
            "oracle/accuracy": oracle.accuracy,
            "target/effective_classes": effective_classes(confusions["target/val"]),
            "learning_rate": run.learning_rate,
            **training.means,
        },
        confusions={split: matrix.tolist() for split, matrix in confusions.items()},
        parts=run.parts,
        node=_address(),
        device=torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else "cpu",
    )


def _reported_step(training: Training) -> int:
    return 0 if training.report is None else training.report.step


def _run(assignment: Assignment) -> TrainingRun:
    trial = assignment.ask.trial
    try:
        with _on_disk(assignment.shift.name):
            splits = assignment.shift.open()
        return TrainingRun(assignment.method, assignment.recipe, splits, trial.seed, trial.steps, _device(assignment))
    except (DataError, DiskFault, NoWeights) as error:
        if assignment.mark is None:
            raise
        # Another node of the cluster may have the data or the weights, or a disk that takes them.
        raise Unfit(_line(error)) from error


def _device(assignment: Assignment) -> torch.device:
    """A GPU for a trial that has a share of one; the others leave the GPUs of their node alone."""
    return torch.device("cuda" if assignment.resources.get("GPU") and torch.cuda.is_available() else "cpu")


def _save(assignment: Assignment, training: Training) -> None:
    kept = {
        "report": None if training.report is None else vars(training.report),
        "seconds": training.seconds,
        "means": training.means,
    }
    _write(assignment, CHECKPOINT, training.run.save(kept))


def _restored(assignment: Assignment) -> Training | None:
    """The trial as its checkpoint holds it; None without one, or with one that is damaged or would leave a gap."""
    checkpoint = trial_file(assignment.ask.trial.id, CHECKPOINT)
    with _on_disk(f"{assignment.storage}/{checkpoint}"):
        try:
            saved = assignment.storage.read(checkpoint)
        except FileNotFoundError:
            return None
    run = _run(assignment)
    try:
        kept = run.restore(saved)
        report = None if kept["report"] is None else Report(**kept["report"])
        training = Training(run, report, kept["seconds"], kept["means"])
    except (Damaged, KeyError, TypeError):
        return None
    unreported = (step for step in assignment.ask.trial.evaluated_steps if step > assignment.reported)
    # The driver may have lost more reports than the last: only training again gives them back.
    return training if _reported_step(training) <= next(unreported, run.steps) else None


def _keep_predictions(assignment: Assignment, run: TrainingRun) -> None:
    """Leave a few test predictions in the trial's folder, as arrays and as a picture."""
    kept = run.predictions(run.splits.oracle.test)
    arrays = io.BytesIO()
    np.savez_compressed(arrays, allow_pickle=False, **kept)
    figure = figures.prediction_picture(kept["images"], kept["truth"], kept["prediction"], assignment.shift.groups)
    _write(assignment, PREDICTIONS, arrays.getvalue())
    _write(assignment, PICTURE, figures.png(figure))


def _failure(error: Exception) -> Failure:
    """An error as the cause of a trial's failure."""
    if isinstance(error, Diverged):
        return Failure("diverged", _line(error), retry=False)
    if isinstance(error, DataError | NoWeights):
        return Failure("data", _line(error), retry=True)
    if out_of_memory(error):
        remedy = "lower the recipe's batch or network_width, or raise Budget.gpus"
        return Failure("out of memory", f"{_line(error)}; {remedy}", retry=True)
    trace = "".join(traceback.format_exception(error))
    return Failure("error", f"{type(error).__name__}: {_line(error)}", retry=True, trace=trace)


def _free_memory() -> None:
    """Give the GPU's memory back, to this process's next trial or to others."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _write(assignment: Assignment, name: str, content: bytes) -> None:
    """Leave a file in the trial's folder, as long as it is this worker's."""
    trial_id = assignment.ask.trial.id
    file = trial_file(trial_id, name)
    with _on_disk(f"{assignment.storage}/{file}"):
        if assignment.storage.read(trial_file(trial_id, CLAIM)) != assignment.claim.encode():
            raise Superseded
        assignment.storage.write(file, content)


@contextmanager
def _on_disk(place: str) -> Iterator[None]:
    """Tell a file system's error from all others."""
    try:
        yield
    except OSError as error:
        raise DiskFault(f"{error.filename or place}: {error.strerror or error}") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"


def _address() -> str:
    address: str = get_node_ip_address()  # type: ignore[no-untyped-call]
    return address
