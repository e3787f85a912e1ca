"""A worker's attempt at a trial, in plain Python: started, advanced, saved and restored by functions.

A step trains to the next evaluation and gives back one `Result`: it raises nothing. Whatever happens, the last good
checkpoint stays in the trial's folder, and the next step or the next worker goes on from there.
"""

import gc
import io
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from platform.networks.network import NoWeights
from platform.records.one_line import one_line
from platform.records.record import Report
from platform.records.storage.lines import Unreadable
from platform.records.storage.plausible import plausible
from platform.records.storage.storage import sees
from platform.records.storage.tokens import CLAIM
from platform.records.store import CHECKPOINT, PREDICTIONS, evidence_file, trial_file
from platform.scores.evidence import saved
from platform.shifts.cache import discard, opened
from platform.shifts.definition.mistakes import explained
from platform.shifts.shift import CacheDamaged, DataError
from platform.training.assignment import Assignment, DiskFailure, Failure, Node, Result, Stopped, UnfitNode
from platform.training.data.batches import Unsuited
from platform.training.device.latency import latency
from platform.training.device.memory import keep_to_share, out_of_memory
from platform.training.device.name import name_of
from platform.training.device.process import keep_memory, make_deterministic
from platform.training.evaluation import evaluation, metrics, predictions, recalibrated
from platform.training.given import StartLost, trained
from platform.training.run import Interrupted, TrainingRun
from platform.training.spent import Spent, starving
from platform.training.steps.finite import Diverged
from platform.training.steps.saved import Damaged

Say = Callable[[str], None]
CHECKPOINT_FORMAT = 1
"""Raised whenever a checkpoint means something that earlier versions would misread; that of version 0.1.0 had none."""

_reason = partial(one_line, at_most=1000)
"""CUDA alone says 500 characters of how memory ran out, and begins with what matters."""


class Unfit(Exception):
    """This node cannot train the trial; the message says why."""


class Superseded(Exception):
    """Another worker has the trial by now: this one was taken for dead."""


class DiskFault(Exception):
    """A file that cannot be read or written; the message names it."""


@dataclass
class Training:
    """A trial in memory: its run, and what there is of the next report."""

    run: TrainingRun
    report: Report | None = None
    """The last one."""
    spent: Spent = field(default_factory=Spent)
    """Seconds since the last report."""
    means: dict[str, float] | None = None
    """Means of what was noted since the last report; None until the steps to the next report are done."""
    warned: bool = False
    """Whether it has said that it waits for its images."""

    @property
    def step(self) -> int:
        """The step of the last report, 0 before the first."""
        return 0 if self.report is None else self.report.step


@dataclass
class Attempt:
    """What a worker knows of the trial that it was given."""

    assignment: Assignment
    node: Node
    training: Training | None = None
    """None before the first step and after an error: the next step goes on from the last checkpoint."""
    parts: int = 1
    """Number of parts in which each batch is taken: 2 once memory has run out."""
    said: list[str] = field(default_factory=list)
    """What the user should see, until somebody takes it to them."""


def take_step(attempt: Attempt) -> Result:
    """Train to the next evaluation and evaluate; whatever goes wrong is a result, too."""
    try:
        return _next_report(attempt)
    except (Interrupted, Superseded):
        return Stopped()
    except (Exception, SystemExit) as error:  # a method that exits is no worker that is lost
        attempt.training = None
        return _result(error, attempt)


def start(assignment: Assignment, parts: int = 1, say: Say = print) -> Training:
    """Take up a trial: from its last checkpoint if there is one that can be used, else from step 0.

    `say` is told of a checkpoint that is there and cannot be used, and of decoded data that are damaged.
    """
    where, mark = assignment.storage, assignment.mark
    if mark is not None and not sees(where, mark):
        raise Unfit(f"it does not see {where}")
    with _on_disk(f"{where}/{trial_file(assignment.ask.trial.id, '')}"):
        where.tidy(trial_file(assignment.ask.trial.id, ""))
    make_deterministic(assignment.ask.trial.threads)
    keep_memory()
    try:
        restored = restore(assignment, say)
    except Damaged as error:
        say(f"its checkpoint is {one_line(error)}, and does not count: what it held is trained again")
        restored = None
    training = restored or Training(_run(assignment, say))
    # A trial that ran out of memory before goes on in halves.
    training.run.parts = max(parts, training.run.parts)
    return training


def advance(assignment: Assignment, training: Training, node: Node) -> Report:
    """Train to the next evaluation, evaluate, and leave a checkpoint that holds the report.

    Raises Interrupted, leaving a checkpoint of what there is, after a step or batch at which the worker is to stop.
    """
    try:
        with training.spent.training(training.run):
            report = _trained_and_evaluated(assignment, training, node)
    except Interrupted:
        save(assignment, training)
        raise
    training.report = replace(report, **vars(training.spent))
    training.spent, training.means = Spent(), None
    # Before it is saved: whoever goes on from here does not say it again.
    training.warned = training.warned or starving(training.report) != ""
    save(assignment, training)
    return training.report


def save(assignment: Assignment, training: Training) -> None:
    """Leave a checkpoint in the trial's folder."""
    kept = {
        "trial": assignment.ask.trial.id,
        "format": CHECKPOINT_FORMAT,
        "report": None if training.report is None else vars(training.report),
        "spent": vars(training.spent),
        "means": training.means,
        "warned": training.warned,
    }
    began = time.perf_counter()
    _write(assignment, CHECKPOINT, training.run.save(kept))
    training.spent.saving += time.perf_counter() - began


def restore(assignment: Assignment, say: Say = print) -> Training | None:
    """The trial as its checkpoint holds it; None without one, or with one that would leave a gap. Raises Damaged."""
    checkpoint = trial_file(assignment.ask.trial.id, CHECKPOINT)
    with _on_disk(f"{assignment.storage}/{checkpoint}"):
        try:
            saved = assignment.storage.read(checkpoint)
        except FileNotFoundError:
            return None
    run = _run(assignment, say)
    kept = run.restore(saved)
    try:
        if (form := kept.get("format", 0)) > CHECKPOINT_FORMAT:
            raise Damaged(f"in format {form}, which a newer version writes")
        # Version 0.1.0 did not say whose one is.
        if (owner := kept.get("trial", assignment.ask.trial.id)) != assignment.ask.trial.id:
            raise Damaged(f"of trial {owner!r}")
        report = None if kept["report"] is None else plausible(Report(**kept["report"]))
        means = None if kept["means"] is None else {**kept["means"]}
        spent = Spent(**{name: 0.0 + seconds for name, seconds in kept["spent"].items()})
        training = Training(run, report, spent, means, bool(kept["warned"]))
    except (KeyError, TypeError, AttributeError, Unreadable) as error:
        raise Damaged(f"damaged ({type(error).__name__}: {error})") from error
    if training.step not in (0, *assignment.ask.trial.evaluated_steps):
        raise Damaged(f"damaged (a report of step {training.step})")
    unreported = (step for step in assignment.ask.trial.evaluated_steps if step > assignment.reported)
    # The driver may have lost more reports than the last: only training again gives them back.
    return training if training.step <= next(unreported, run.steps) else None


def forget(attempt: Attempt) -> None:
    """Remove the checkpoint of a trial whose reports must not count; what cannot be removed is said."""
    attempt.training = None
    assignment = attempt.assignment
    try:
        if _is_ours(assignment):
            assignment.storage.remove(trial_file(assignment.ask.trial.id, CHECKPOINT))
    except OSError as error:
        attempt.said.append(f"its checkpoint cannot be removed ({one_line(error)}): remove it")


def free_memory() -> None:
    """Give the GPU's memory back, to this process's next trial or to others."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _next_report(attempt: Attempt) -> Report:
    """The next report; again from the last checkpoint where data are damaged, or memory runs out for the first time."""
    try:
        return _report(attempt)
    except CacheDamaged as damage:
        discard(damage, attempt.said.append)
    except Exception as error:
        if not (out_of_memory(error) and _can_halve(attempt)):
            raise
        attempt.parts = 2
    # Here the error is gone, and with it the tensors that its traceback held.
    attempt.training = None
    free_memory()
    return _report(attempt)


def _report(attempt: Attempt) -> Report:
    """The next report: the one that a checkpoint holds, where the driver lacks it."""
    assignment = attempt.assignment
    if _stopped(assignment):
        raise Interrupted
    if attempt.training is None:
        began = time.perf_counter()
        attempt.training = start(assignment, attempt.parts, attempt.said.append)
        attempt.training.spent.starting += time.perf_counter() - began
        report = attempt.training.report
        if report is not None and report.step > assignment.reported:
            return report
    warned = attempt.training.warned
    report = advance(assignment, attempt.training, attempt.node)
    if attempt.training.warned and not warned:
        attempt.said.append(starving(report))
    return report


def _can_halve(attempt: Attempt) -> bool:
    """Whether batches are whole so far, and their halves hold the two images that batch norm needs."""
    whole = attempt.parts == 1 and (attempt.training is None or attempt.training.run.parts == 1)
    batch = attempt.assignment.recipe.batch
    return whole and batch >= 4 and batch % 2 == 0


def _result(error: Exception | SystemExit, attempt: Attempt) -> Result:
    """What an error means for the trial, the node and the study."""
    match error:
        case Unfit():
            return UnfitNode(attempt.node, _reason(error))
        case CacheDamaged() if attempt.assignment.mark is not None:
            return UnfitNode(attempt.node, _reason(error))
        case DiskFault() | CacheDamaged():
            return DiskFailure(_reason(error))
        case Diverged():
            return Failure("diverged", _reason(error), retry=False)
        case DataError() | NoWeights():
            return Failure("data", _reason(error), retry=True)
    if out_of_memory(error):
        remedy = "lower the recipe's batch or the network's width, or raise Budget.gpus"
        return Failure("out of memory", f"{_reason(error)}; {remedy}", retry=True)
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, torch.AcceleratorError):
        return Failure("worker lost", explained(error), retry=True, trace=trace)
    return Failure("error", explained(error), retry=True, trace=trace)


def _trained_and_evaluated(assignment: Assignment, training: Training, node: Node) -> Report:
    """The next report, but for its seconds."""
    run, trial, stopped = training.run, assignment.ask.trial, partial(_stopped, assignment)
    if training.means is None:
        target = next(step for step in trial.evaluated_steps if step > training.step)
        training.means = run.advance(target - run.step, stopped)
    final = trial.confirms and run.step == run.steps
    began = time.perf_counter()
    with recalibrated(run, stopped):
        found = evaluation(run, assignment.shift.groups, trial.confirms, stopped)
        _write(assignment, evidence_file(run.step), saved(found.evidence))
        if final:
            _keep_predictions(assignment, run)
        alone = _latency(assignment, run, stopped) if final else 0.0
    return Report(
        step=run.step,
        seconds=0.0,
        # Whatever a method notes, the metrics that judge it are the evaluation's.
        metrics={
            **training.means,
            **metrics(found.confusions, assignment.shift.groups),
            "learning_rate": run.learning_rate,
        },
        confusions={name: matrix.tolist() for name, matrix in found.confusions.items()},
        parts=run.parts,
        node=node.address,
        device=name_of(run.device),
        evaluating=time.perf_counter() - began,
        images=run.images_per_step * (run.step - training.step),
        precision=run.arithmetic.name,
        latency=alone,
    )


def _stopped(assignment: Assignment) -> bool:
    """Whether the worker is asked to stop."""
    return assignment.storage.shows(assignment.stop)


def _run(assignment: Assignment, say: Say) -> TrainingRun:
    trial = assignment.ask.trial
    try:
        with _on_disk(assignment.shift.name):
            splits = opened(assignment.shift, say)
        if (read := assignment.methods.data()) != trial.data:
            raise DataError(f"files that methods read must be as the study was planned with, {trial.data}, got {read}")
        device = _device(assignment)
        given = [trained(each, partial(_checkpoint_of, assignment), device) for each in assignment.given]
        return TrainingRun(assignment.methods, assignment.recipe, splits, trial.seed, trial.steps, device, given)
    except (DataError, DiskFault, NoWeights) as error:
        if assignment.mark is None or isinstance(error, (StartLost, Unsuited)):
            raise
        # Another node of the cluster may have the data or the weights, or a disk that takes them.
        raise Unfit(_reason(error)) from error


def _checkpoint_of(assignment: Assignment, trial_id: str) -> bytes:
    """What another trial has left. Raises OSError."""
    return assignment.storage.read(trial_file(trial_id, CHECKPOINT))


def _device(assignment: Assignment) -> torch.device:
    """A GPU for a trial that has a share of one, to which it keeps; the others leave the GPUs of their node alone."""
    share = assignment.resources.get("GPU", 0.0)
    device = torch.device("cuda" if share and torch.cuda.is_available() else "cpu")
    keep_to_share(device, share)
    return device


def _latency(assignment: Assignment, run: TrainingRun, stopped: Callable[[], bool]) -> float:
    """Seconds that what is deployed takes for one image. Raises Interrupted before one at which `stopped` says so."""

    def look() -> None:
        if stopped():
            raise Interrupted

    return latency(partial(run.predict, domain="target"), assignment.shift.size, run.device, look)


def _keep_predictions(assignment: Assignment, run: TrainingRun) -> None:
    """Leave a few test predictions in the trial's folder."""
    arrays = io.BytesIO()
    predicted = predictions(run, run.splits.oracle.test)
    np.savez_compressed(arrays, allow_pickle=False, trial=np.array(assignment.ask.trial.id), **predicted)
    _write(assignment, PREDICTIONS, arrays.getvalue())


def _write(assignment: Assignment, name: str, content: bytes) -> None:
    """Leave a file in the trial's folder, as long as the trial is this worker's."""
    trial_id = assignment.ask.trial.id
    file = trial_file(trial_id, name)
    with _on_disk(f"{assignment.storage}/{file}"):
        if not _is_ours(assignment):
            raise Superseded
        assignment.storage.write(file, content)


def _is_ours(assignment: Assignment) -> bool:
    """Whether no other worker has the trial by now. Raises OSError."""
    return assignment.storage.read(trial_file(assignment.ask.trial.id, CLAIM)) == assignment.claim.encode()


@contextmanager
def _on_disk(place: str) -> Iterator[None]:
    """Turn a file system's error into DiskFault, which tells it from all others."""
    try:
        yield
    except OSError as error:
        raise DiskFault(f"{error.filename or place}: {error.strerror or error}") from error
