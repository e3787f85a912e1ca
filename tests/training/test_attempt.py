"""An attempt at a trial on a tiny town: its reports, its checkpoints and what an interruption leaves."""

import io
import itertools
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from platform.methods import FDA, Adversarial, SourceOnly
from platform.methods.step import Step
from platform.records.provenance import ROOT
from platform.records.record import Report
from platform.records.storage.storage import leave_mark
from platform.records.storage.tokens import CLAIM
from platform.records.store import CHECKPOINT, PREDICTIONS, evidence_file
from platform.scores.metrics import effective_classes
from platform.training import attempt as module
from platform.training.assignment import Stopped
from platform.training.attempt import start, take_step
from tests.support.attempts import (
    EVALUATIONS,
    NODE,
    STEPS,
    assignment,
    attempt,
    checkpoint_of,
    failure_of,
    folder_of,
    left,
    numbers,
    process_as_it_was,
    report_of,
    undisturbed,
    unopenable,
)


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    with process_as_it_was():
        yield


# Reports


def test_a_trial_reports_at_its_evaluated_steps_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, Adversarial(width=4))
    busy = attempt(assigned)
    first, last = report_of(take_step(busy)), report_of(take_step(busy))
    assert (first.step, last.step) == (3, 6)
    assert first.seconds > 0
    assert first.parts == 1
    assert first.metrics.keys() == {
        "source/miou",
        "source/accuracy",
        "oracle/miou",
        "oracle/accuracy",
        "target/effective_classes",
        "learning_rate",
        "loss/cross_entropy",
        "loss/adversarial",
        "loss/discriminator",
        "discriminator/spread",
    }
    assert first.metrics["target/effective_classes"] == effective_classes(first.confusions["target/val"])
    assert first.confusions.keys() == last.confusions.keys() == {"source/val", "target/val", "target/test"}
    assert left(assigned) == {CHECKPOINT, PREDICTIONS, evidence_file(3), evidence_file(6)}
    json.dumps(vars(last), allow_nan=False)


def test_search_trials_never_see_the_test_split(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, seed=0)
    busy = attempt(assigned)
    first, last = report_of(take_step(busy)), report_of(take_step(busy))
    assert first.confusions.keys() == last.confusions.keys() == {"source/val", "target/val"}
    assert left(assigned) == {CHECKPOINT, evidence_file(3), evidence_file(6)}


def test_a_lost_worker_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, FDA(beta=0.1))
    first = report_of(take_step(attempt(assigned)))
    second = report_of(take_step(attempt(replace(assigned, reported=first.step))))
    assert (numbers(first), numbers(second)) == undisturbed(FDA(beta=0.1))


def test_an_unseen_report_of_a_checkpoint_is_reported_again_as_it_was(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    first = report_of(take_step(attempt(assigned)))
    again = attempt(assigned)
    assert report_of(take_step(again)) == first
    assert numbers(report_of(take_step(again))) == undisturbed(SourceOnly())[1]


def test_a_checkpoint_later_than_the_reports_on_record_would_leave_a_gap(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    busy = attempt(assigned)
    take_step(busy)
    take_step(busy)
    again = attempt(assigned)
    assert tuple(numbers(report_of(take_step(again))) for _ in range(EVALUATIONS)) == undisturbed(SourceOnly())


def test_a_worker_removes_what_a_killed_one_left_half_written(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    folder_of(assigned).mkdir(parents=True, exist_ok=True)
    (folder_of(assigned) / f"{CHECKPOINT}.partial-123").write_bytes(b"half")
    (folder_of(assigned) / "record.jsonl").write_bytes(b"kept")
    take_step(attempt(assigned))
    assert left(assigned) == {CHECKPOINT, evidence_file(3), "record.jsonl"}


# The device


class RunMade(Exception):
    """As far as a test goes."""


@pytest.mark.parametrize(
    ("resources", "has_gpu", "device", "share"),
    [
        ({"CPU": 1.0, "GPU": 0.5}, True, "cuda", 0.5),
        ({"CPU": 1.0, "GPU": 0.5}, False, "cpu", 0.5),
        ({"CPU": 1.0}, True, "cpu", 0.0),
    ],
    ids=["a share of a GPU", "a share of none", "no share"],
)
def test_a_trial_keeps_to_its_share_before_anything_of_it_is_on_the_device(
    resources: dict[str, float],
    has_gpu: bool,
    device: str,
    share: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Any, ...]] = []

    def run(methods: object, recipe: object, data: object, seed: int, steps: int, place: object, given: object) -> None:
        asked.append(("run", place))
        raise RunMade

    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(module, "keep_to_share", lambda *given: asked.append(("share", *given)))
    monkeypatch.setattr(module, "trained", lambda given, read, place: asked.append(("given", place)))
    monkeypatch.setattr(module, "TrainingRun", run)
    with pytest.raises(RunMade):
        start(assignment(tmp_path, resources=resources, given=("another row's",)))
    place = torch.device(device)
    assert asked == [("share", place, share), ("given", place), ("run", place)]


# What a method cannot say of itself


@dataclass(frozen=True, kw_only=True)
class Boasting(SourceOnly):
    """Notes what evaluation says, or writes it down past `note`."""

    name: str
    directly: bool
    in_update: bool

    def __post_init__(self) -> None:
        """Nothing is checked: the fields are the test's."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        if not self.in_update:
            self._boast(step)
        return {}

    def update(self, step: Step) -> None:
        if self.in_update:
            self._boast(step)

    def _boast(self, step: Step) -> None:
        if self.directly:
            step.noted[self.name] = torch.ones(())
        else:
            step.note(self.name, torch.ones(()))


EVALUATED = (
    *("source/miou", "source/accuracy", "oracle/miou", "oracle/accuracy", "target/effective_classes"),
    "learning_rate",
)


@pytest.mark.parametrize("in_update", [False, True])
@pytest.mark.parametrize("name", [*EVALUATED, "oracle/x", "test/miou", "final/miou", "loss/cross_entropy"])
def test_a_method_that_notes_what_evaluation_says_is_refused(tmp_path: Path, name: str, in_update: bool) -> None:
    boasting = Boasting(name=name, directly=False, in_update=in_update)
    failure = failure_of(take_step(attempt(assignment(tmp_path, boasting))))
    assert failure.cause == "error"
    assert repr(name) in failure.reason
    assert f" at {Path(__file__).name}:" in failure.reason, "the method's own line is named"


@pytest.mark.parametrize("in_update", [False, True])
@pytest.mark.parametrize("name", EVALUATED)
def test_a_method_that_writes_its_notes_itself_changes_nothing_that_evaluation_says(
    tmp_path: Path, name: str, in_update: bool
) -> None:
    boasting = Boasting(name=name, directly=True, in_update=in_update)
    report = report_of(take_step(attempt(assignment(tmp_path, boasting))))
    assert report.metrics[name] != 1
    assert numbers(report) == undisturbed(SourceOnly())[0]


# Interruption


@dataclass(frozen=True, kw_only=True)
class StopsItself(Adversarial):
    """Asks the worker to stop at given steps, as a driver does while a step runs."""

    file: str = ""
    at: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Nothing is checked: the fields are the test's."""

    def losses(self, step: Step) -> Any:
        if round(float(step.progress) * STEPS) + 1 in self.at:
            Path(self.file).touch()
        return super().losses(step)


@pytest.mark.parametrize("at", [(1,), (2,), (3,), (1, 2), (2, 4), (4, 5, 6), (1, 2, 3, 4, 5, 6)])
def test_an_interrupted_trial_reports_what_an_undisturbed_one_does(tmp_path: Path, at: tuple[int, ...]) -> None:
    """When it stops at step 3 or 6, all steps of the interval are taken and its evaluation is still to come."""
    assigned = assignment(tmp_path, StopsItself(width=4, file=str(tmp_path / "stop"), at=at))
    assigned = replace(assigned, ask=assignment(tmp_path, Adversarial(width=4)).ask)
    reports: list[Report] = []
    interruptions = 0
    while len(reports) < EVALUATIONS:
        result = take_step(attempt(replace(assigned, reported=reports[-1].step if reports else 0)))
        if result == Stopped():
            (tmp_path / "stop").unlink()
            interruptions += 1
        else:
            reports.append(report_of(result))
    assert interruptions == len(at)
    assert tuple(map(numbers, reports)) == undisturbed(Adversarial(width=4))


@pytest.mark.parametrize("evaluation", [1, 2, 3])
def test_an_evaluation_that_was_interrupted_is_done_again(tmp_path: Path, evaluation: int) -> None:
    """An evaluation goes through source val and target val, and in the last report through target test."""
    assigned = assignment(tmp_path, Adversarial(width=4))
    reports: list[Report] = []
    for interval in range(EVALUATIONS):
        assigned = replace(assigned, reported=reports[-1].step if reports else 0)
        for _ in range(2):
            interrupted = attempt(assigned)
            interrupted.training = start(assigned)
            stop_at_evaluation(interrupted.training.run.network, evaluation, tmp_path / "stop")
            if (interval, evaluation) == (0, 3):
                continue
            assert take_step(interrupted) == Stopped()
            (tmp_path / "stop").unlink()
        reports.append(report_of(take_step(attempt(assigned))))
    assert tuple(map(numbers, reports)) == undisturbed(Adversarial(width=4))


def stop_at_evaluation(network: torch.nn.Module, number: int, stop: Path) -> None:
    """Ask the worker to stop while a network evaluates for the `number`-th time."""
    evaluations = itertools.count(1)
    network.register_forward_hook(
        lambda module, *_: None if module.training or next(evaluations) < number else stop.touch()
    )


def test_a_report_counts_the_seconds_before_an_interruption(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, StopsItself(width=4, file=str(tmp_path / "stop"), at=(2,)))
    assert take_step(attempt(assigned)) == Stopped()
    saved = checkpoint_of(assigned).read_bytes()
    state = torch.load(io.BytesIO(saved), weights_only=True)
    assert state["extra"]["spent"]["seconds"] > 0
    state["extra"]["spent"]["seconds"] = 1000.0
    buffer = io.BytesIO()
    torch.save(state, buffer)
    checkpoint_of(assigned).write_bytes(buffer.getvalue())
    (tmp_path / "stop").unlink()
    busy = attempt(assigned)
    assert 1000 < report_of(take_step(busy)).seconds < 1100
    assert report_of(take_step(busy)).seconds < 100


def test_the_same_worker_may_go_on_after_an_interruption(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, StopsItself(width=4, file=str(tmp_path / "stop"), at=(2,)))
    busy = attempt(assigned)
    assert take_step(busy) == Stopped()
    assert take_step(busy) == Stopped()
    (tmp_path / "stop").unlink()
    assert numbers(report_of(take_step(busy))) == undisturbed(Adversarial(width=4))[0]


def test_a_worker_that_is_to_stop_does_not_even_open_the_data(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, shift=unopenable(RuntimeError("opened")))
    (tmp_path / "stop").touch()
    assert take_step(attempt(assigned)) == Stopped()
    assert not left(assigned)


def test_a_worker_whose_trial_another_one_has_writes_no_more(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    busy = attempt(assigned)
    take_step(busy)
    written = checkpoint_of(assigned).read_bytes()
    (folder_of(assigned) / CLAIM).write_text("another's")
    assert take_step(busy) == Stopped()
    assert checkpoint_of(assigned).read_bytes() == written
    assert left(assigned) == {CHECKPOINT, evidence_file(3)}


# Without Ray


WITHOUT_RAY = """
import pickle, sys
from pathlib import Path
from platform.training.attempt import advance, restore, save, start, take_step
from platform.training.run import Interrupted
from tests.support.attempts import NODE, assignment, attempt
assigned = assignment(Path(sys.argv[1]))
stop = Path(sys.argv[1], "stop")
training = start(assigned)
stop.touch()
try:
    advance(assigned, training, NODE)
except Interrupted:
    stop.unlink()
save(assigned, training)
restored = restore(assigned)
assert restored is not None and restored.run.step == training.run.step == 1
reports = [advance(assigned, restored, NODE), advance(assigned, restored, NODE)]
assert take_step(attempt(assigned.__class__(**{**vars(assigned), "reported": 3}))) == reports[1]
assert not {"ray", "mlflow", "matplotlib", "optuna"} & sys.modules.keys()
sys.stdout.buffer.write(pickle.dumps(reports))
"""


def test_a_trial_is_started_interrupted_restored_and_finished_without_ray(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_RAY, str(tmp_path)]
    reports = pickle.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT).stdout)
    assert tuple(map(numbers, reports)) == undisturbed(SourceOnly())
    assert {report.node for report in reports} == {NODE.address}


@pytest.mark.parametrize("marked", [False, True], ids=["one machine", "cluster"])
def test_splits_too_small_for_a_batch_are_a_mistake_of_no_node_and_of_no_code(tmp_path: Path, marked: bool) -> None:
    large = assignment(tmp_path, batch=400)
    if marked:
        large = replace(large, mark=leave_mark(large.storage, "study"))
    failure = failure_of(take_step(attempt(large)))
    assert (failure.cause, failure.retry, failure.trace) == ("data", True, "")
    assert failure.reason.startswith("a training split must hold at least one batch of 400 images, it holds ")
