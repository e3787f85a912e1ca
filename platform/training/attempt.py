"""One trial in a worker's hands: started, advanced, saved and restored by plain functions."""

import gc
import io
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from ray.util import get_node_ip_address

from platform.networks.bisenet import NoWeights
from platform.records.record import Report
from platform.records.storage.storage import sees
from platform.records.storage.tokens import CLAIM
from platform.records.store import CHECKPOINT, PREDICTIONS, trial_file
from platform.scores.metrics import cityscapes, effective_classes
from platform.shifts.shift import DataError
from platform.training.assignment import Assignment, DiskFault, Failure, Superseded, Unfit
from platform.training.run import Damaged, Diverged, Interrupted, TrainingRun, make_deterministic, out_of_memory


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
        node=node_address(),
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
    """Leave a few test predictions in the trial's folder."""
    kept = run.predictions(run.splits.oracle.test)
    arrays = io.BytesIO()
    np.savez_compressed(arrays, allow_pickle=False, **kept)
    _write(assignment, PREDICTIONS, arrays.getvalue())


def failure_of(error: Exception) -> Failure:
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


def free_memory() -> None:
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


def node_address() -> str:
    address: str = get_node_ip_address()  # type: ignore[no-untyped-call]
    return address
