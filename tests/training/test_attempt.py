"""What happens inside a worker: the Trainable itself, without Ray's processes, on a tiny town."""

import dataclasses
import io
import itertools
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import FDA, Adversarial, Method, SourceOnly
from platform.methods.method import Step
from platform.networks import bisenet
from platform.records.provenance import ROOT
from platform.records.record import Ask, Report
from platform.records.storage.storage import Folder, leave_mark
from platform.records.storage.tokens import CLAIM
from platform.records.store import CHECKPOINT, PREDICTIONS
from platform.records.trial import Trial
from platform.running.worker import TrialTrainable
from platform.scores.metrics import effective_classes
from platform.shifts import town
from platform.shifts.shift import DataError, Shift, Splits
from platform.training.assignment import DISK, FAILURE, INTERRUPTED, REPORT, Assignment, Failure, Unfit
from platform.training.attempt import start
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun
from tests.support.small_disk import mounted
from tests.support.tiny_splits import NETWORK_WIDTH

TOWN = town(size=(32, 64), source_images=(8, 3), target_images=(8, 3, 3))
STEPS, EVALUATIONS = 6, 2
SMALL = 4_194_304
"""Bytes of the small disk."""


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    """Workers make their process deterministic; the other tests' process is left as it was."""
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(deterministic)
    torch.set_num_threads(threads)


def assignment(results: Path, method: Method | None = None, seed: int = 1, **changes: Any) -> Assignment:
    method = method or SourceOnly()
    recipe = Recipe(network_width=NETWORK_WIDTH, learning_rate=0.01, batch=changes.pop("batch", 4))
    trial = Trial(
        method=type(method).__name__,
        hyperparameters=dataclasses.asdict(method),
        recipe=dataclasses.asdict(recipe),
        shift=TOWN.identity(),
        resolved={},
        seed=seed,
        steps=STEPS,
        evaluations=EVALUATIONS,
        threads=1,
        code="here",
    )
    ask = Ask("an arm", "confirm" if seed else "search", 0, trial)
    made = Assignment(
        ask, method, recipe, TOWN, Folder(results), reported=0, resources={"CPU": 1.0}, stop="stop", claim="mine"
    )
    with suppress(NotADirectoryError):
        folder_of(made).mkdir(parents=True, exist_ok=True)
        (folder_of(made) / CLAIM).write_text(made.claim)
    return replace(made, **changes)


def worker(assigned: Assignment) -> TrialTrainable:
    return TrialTrainable({"assignment": assigned})


def left(assigned: Assignment) -> set[str]:
    """Names of the files that a worker left in its trial's folder."""
    return {path.name for path in folder_of(assigned).iterdir()} - {CLAIM}


def folder_of(assigned: Assignment) -> Path:
    assert isinstance(assigned.storage, Folder)
    return assigned.storage.path / "trials" / assigned.ask.trial.id


def checkpoint_of(assigned: Assignment) -> Path:
    return folder_of(assigned) / CHECKPOINT


def report_of(result: dict[str, Any]) -> Report:
    assert result.keys() == {REPORT}, result.get(FAILURE, result)
    report = result[REPORT]
    assert isinstance(report, Report)
    return report


def failure_of(result: dict[str, Any]) -> Failure:
    assert result.keys() == {FAILURE}
    failure = result[FAILURE]
    assert isinstance(failure, Failure)
    assert "\n" not in failure.reason
    return failure


def numbers(report: Report) -> Report:
    """All of a report but its seconds."""
    return replace(report, seconds=0.0)


@cache
def undisturbed(method: Method, seed: int = 1) -> tuple[Report, ...]:
    """The reports of a trial that nothing befell."""
    with tempfile.TemporaryDirectory() as folder:
        busy = worker(assignment(Path(folder), method, seed))
        return tuple(numbers(report_of(busy.step())) for _ in range(EVALUATIONS))


# Reports


def test_a_trial_reports_at_its_evaluated_steps_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, Adversarial(width=4))
    busy = worker(assigned)
    first, last = report_of(busy.step()), report_of(busy.step())
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
    assert first.confusions.keys() == {"source/val", "target/val"}
    assert last.confusions.keys() == {"source/val", "target/val", "target/test"}
    assert left(assigned) == {CHECKPOINT, PREDICTIONS}
    json.dumps(vars(last), allow_nan=False)


def test_search_trials_never_see_the_test_split(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, seed=0)
    busy = worker(assigned)
    busy.step()
    assert report_of(busy.step()).confusions.keys() == {"source/val", "target/val"}
    assert left(assigned) == {CHECKPOINT}


def test_a_lost_worker_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, FDA(beta=0.1))
    first = report_of(worker(assigned).step())
    second = report_of(worker(replace(assigned, reported=first.step)).step())
    assert (numbers(first), numbers(second)) == undisturbed(FDA(beta=0.1))


def test_an_unseen_report_of_a_checkpoint_is_reported_again_as_it_was(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    first = report_of(worker(assigned).step())
    again = worker(assigned)
    assert report_of(again.step()) == first
    assert numbers(report_of(again.step())) == undisturbed(SourceOnly())[1]


def test_a_checkpoint_later_than_the_reports_on_record_would_leave_a_gap(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    busy = worker(assigned)
    busy.step()
    busy.step()
    again = worker(assigned)
    assert tuple(numbers(report_of(again.step())) for _ in range(EVALUATIONS)) == undisturbed(SourceOnly())


def test_a_worker_removes_what_a_killed_one_left_half_written(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    folder_of(assigned).mkdir(parents=True, exist_ok=True)
    (folder_of(assigned) / f"{CHECKPOINT}.partial-123").write_bytes(b"half")
    (folder_of(assigned) / "record.jsonl").write_bytes(b"kept")
    worker(assigned).step()
    assert left(assigned) == {CHECKPOINT, "record.jsonl"}


# Interruption


@dataclass(frozen=True, kw_only=True)
class StopsItself(Adversarial):
    """Asks the worker to stop at given steps, as a driver does while a step runs."""

    file: str = ""
    at: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Nothing is checked: the fields are the test's."""

    def losses(self, step: Step) -> Any:
        if round(step.progress * STEPS) + 1 in self.at:
            Path(self.file).touch()
        return super().losses(step)


@pytest.mark.parametrize("at", [(1,), (2,), (3,), (1, 2), (2, 4), (4, 5, 6), (1, 2, 3, 4, 5, 6)])
def test_an_interrupted_trial_reports_what_an_undisturbed_one_does(tmp_path: Path, at: tuple[int, ...]) -> None:
    """At step 3 and 6 the interval's steps are all taken, and its evaluation is not yet."""
    assigned = assignment(tmp_path, StopsItself(width=4, file=str(tmp_path / "stop"), at=at))
    assigned = replace(assigned, ask=assignment(tmp_path, Adversarial(width=4)).ask)
    reports: list[Report] = []
    interruptions = 0
    while len(reports) < EVALUATIONS:
        result = worker(replace(assigned, reported=reports[-1].step if reports else 0)).step()
        if INTERRUPTED in result:
            assert result == {INTERRUPTED: True}
            (tmp_path / "stop").unlink()
            interruptions += 1
        else:
            reports.append(report_of(result))
    assert interruptions == len(at)
    assert tuple(map(numbers, reports)) == undisturbed(Adversarial(width=4))


@pytest.mark.parametrize("evaluation", [1, 2, 3])
def test_an_evaluation_that_was_interrupted_is_done_again(tmp_path: Path, evaluation: int) -> None:
    """Of source val, of target val, and of target test, which only the last report has."""
    assigned = assignment(tmp_path, Adversarial(width=4))
    reports: list[Report] = []
    for interval in range(EVALUATIONS):
        assigned = replace(assigned, reported=reports[-1].step if reports else 0)
        for _ in range(2):
            interrupted = worker(assigned)
            interrupted._training = start(assigned)
            stop_at_evaluation(interrupted._training.run.network, evaluation, tmp_path / "stop")
            if (interval, evaluation) == (0, 3):
                continue
            assert interrupted.step() == {INTERRUPTED: True}
            (tmp_path / "stop").unlink()
        reports.append(report_of(worker(assigned).step()))
    assert tuple(map(numbers, reports)) == undisturbed(Adversarial(width=4))


def stop_at_evaluation(network: torch.nn.Module, number: int, stop: Path) -> None:
    """Ask the worker to stop while a network evaluates for the `number`-th time."""
    evaluations = itertools.count(1)
    network.register_forward_hook(
        lambda module, *_: None if module.training or next(evaluations) < number else stop.touch()
    )


def test_without_weights_a_node_of_a_cluster_is_unfit_and_one_machine_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node may have them; alone, the trial fails for a reason outside of it."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    damaged = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    damaged.parent.mkdir(parents=True)
    damaged.touch()
    alone = assignment(tmp_path / "results", batch=4)
    alone = replace(alone, recipe=replace(alone.recipe, pretrained=True, network_width=1.0))
    failure = failure_of(worker(alone).step())
    assert (failure.cause, failure.retry) == ("data", True)
    assert str(damaged) in failure.reason
    with pytest.raises(Unfit, match="does not hold the ImageNet weights"):
        start(replace(alone, mark=leave_mark(alone.storage, "study")))


def test_a_report_counts_the_seconds_before_an_interruption(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, StopsItself(width=4, file=str(tmp_path / "stop"), at=(2,)))
    assert worker(assigned).step() == {INTERRUPTED: True}
    saved = checkpoint_of(assigned).read_bytes()
    state = torch.load(io.BytesIO(saved), weights_only=True)
    assert state["extra"]["seconds"] > 0
    state["extra"]["seconds"] = 1000.0
    buffer = io.BytesIO()
    torch.save(state, buffer)
    checkpoint_of(assigned).write_bytes(buffer.getvalue())
    (tmp_path / "stop").unlink()
    busy = worker(assigned)
    assert 1000 < report_of(busy.step()).seconds < 1100
    assert report_of(busy.step()).seconds < 100


def test_the_same_worker_may_go_on_after_an_interruption(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, StopsItself(width=4, file=str(tmp_path / "stop"), at=(2,)))
    busy = worker(assigned)
    assert busy.step() == {INTERRUPTED: True}
    assert busy.step() == {INTERRUPTED: True}
    (tmp_path / "stop").unlink()
    assert numbers(report_of(busy.step())) == undisturbed(Adversarial(width=4))[0]


def test_a_worker_that_is_to_stop_does_not_even_open_the_data(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, shift=Unopenable((32, 64), TOWN.groups, RuntimeError("opened")))
    (tmp_path / "stop").touch()
    assert worker(assigned).step() == {INTERRUPTED: True}
    assert not left(assigned)


# The disk


@dataclass(frozen=True)
class Unopenable(Shift):
    """A shift whose data raise an error when they are opened."""

    error: Exception

    def identity(self) -> dict[str, Any]:
        return {}

    def check(self) -> None:
        """Nothing is looked at."""

    def open(self) -> Splits:
        raise self.error

    def smoke(self) -> "Unopenable":
        return self


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for little."""
    with mounted(tmp_path / "small", SMALL) as folder:
        yield folder


LIMITED = """
import pickle, resource, signal, sys
from tests.running.test_worker import worker
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
assigned, limit = pickle.load(sys.stdin.buffer)
busy = worker(assigned)
results = [busy.step()]
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
results.append(busy.step())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
results.append(busy.step())
sys.stdout.buffer.write(pickle.dumps(results))
"""


def test_a_disk_that_takes_no_more_is_no_failure_of_the_trial(tmp_path: Path) -> None:
    """A real one: the kernel refuses the checkpoint's last bytes. Afterwards the worker goes on from the last good."""
    assigned = assignment(tmp_path)
    saved = subprocess.run(
        [sys.executable, "-c", LIMITED],
        input=pickle.dumps((assigned, 100_000)),
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    ).stdout
    first, full, second = pickle.loads(saved)
    assert full == {DISK: f"{checkpoint_of(assigned)}: File too large"}
    # The report of the checkpoint that is there comes again: nobody said that the driver has it.
    assert report_of(second) == report_of(first)
    assert not list(folder_of(assigned).glob("*.partial-*"))


def test_no_space_left(small_disk: Path) -> None:
    """The first checkpoint fits, and a second beside it does not."""
    assigned = assignment(small_disk, seed=0)
    busy = worker(assigned)
    first = report_of(busy.step())
    good = checkpoint_of(assigned).read_bytes()
    (small_disk / "ballast").write_bytes(bytes(SMALL - len(good) - 50_000))
    assert busy.step() == {DISK: f"{checkpoint_of(assigned)}: No space left on device"}
    assert checkpoint_of(assigned).read_bytes() == good
    assert left(assigned) == {CHECKPOINT}

    (small_disk / "ballast").unlink()
    again = worker(replace(assigned, reported=first.step))
    assert numbers(report_of(again.step())) == undisturbed(SourceOnly(), seed=0)[1]


def test_a_results_folder_that_is_gone_is_no_failure_of_the_trial(tmp_path: Path) -> None:
    (tmp_path / "trials").write_text("no folder")
    ((key, message),) = worker(assignment(tmp_path)).step().items()
    assert key == DISK
    assert message.endswith(": Not a directory")


def test_data_that_the_disk_refuses_are_no_failure_of_the_trial(tmp_path: Path) -> None:
    refused = OSError(28, "No space left on device", "/cache/town.npy")
    assigned = assignment(tmp_path, shift=Unopenable((32, 64), TOWN.groups, refused))
    assert worker(assigned).step() == {DISK: "/cache/town.npy: No space left on device"}


# Damaged checkpoints


def flip_a_bit(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    return bytes(changed)


def another_pickle(content: bytes) -> bytes:
    return pickle.dumps({"step": 3})


def another_state(content: bytes) -> bytes:
    buffer = io.BytesIO()
    torch.save({"step": 3}, buffer)
    return buffer.getvalue()


def another_extra(content: bytes) -> bytes:
    state, buffer = torch.load(io.BytesIO(content), weights_only=True), io.BytesIO()
    torch.save({**state, "extra": {"report": {"step": 3}}}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-1000], lambda content: b"", flip_a_bit, another_pickle, another_state, another_extra],
    ids=["truncated", "empty", "flipped", "pickle", "state", "extra"],
)
def test_a_damaged_checkpoint_starts_the_trial_over(tmp_path: Path, damage: Any) -> None:
    assigned = assignment(tmp_path)
    worker(assigned).step()
    checkpoint_of(assigned).write_bytes(damage(checkpoint_of(assigned).read_bytes()))
    again = worker(replace(assigned, reported=3))
    assert tuple(numbers(report_of(again.step())) for _ in range(EVALUATIONS)) == undisturbed(SourceOnly())


# Memory


@dataclass(frozen=True, kw_only=True)
class Greedy(Adversarial):
    """Asks for more memory than any machine has when it sees more than so many images, from a step on."""

    most: int = 2
    from_step: int = 1

    def __post_init__(self) -> None:
        """Nothing is checked: the fields are the test's."""

    def losses(self, step: Step) -> Any:
        losses = super().losses(step)
        if len(step.source.images) > self.most and round(step.progress * STEPS) + 1 >= self.from_step:
            torch.empty(2**60)
        return losses


def in_halves(steps: int, whole: int) -> list[dict[str, float]]:
    """The means of a trial's intervals when its batches are halved after so many steps."""
    with tempfile.TemporaryDirectory() as folder:
        assigned = assignment(Path(folder))
    seed, recipe = assigned.ask.trial.seed, assigned.recipe
    run = TrainingRun(Adversarial(width=4), recipe, TOWN.open(), seed, STEPS, torch.device("cpu"))
    means = []
    for begin in range(0, steps, STEPS // EVALUATIONS):
        run.parts = 1 if begin < whole else 2
        means.append(run.advance(STEPS // EVALUATIONS))
    return means


@pytest.mark.parametrize(("from_step", "whole"), [(1, 0), (3, 0), (4, 3), (5, 3)])
def test_a_trial_that_runs_out_of_memory_goes_on_in_halves_from_its_checkpoint(
    tmp_path: Path, from_step: int, whole: int
) -> None:
    assigned = assignment(tmp_path, Greedy(width=4, from_step=from_step))
    busy = worker(assigned)
    reports = [report_of(busy.step()) for _ in range(EVALUATIONS)] if whole == 0 else [report_of(busy.step())]
    if whole:
        # The report of the checkpoint comes again unless the driver has it.
        busy.assignment = replace(assigned, reported=3)
        reports.append(report_of(busy.step()))
    assert [report.parts for report in reports] == [1 if report.step <= whole else 2 for report in reports]
    for report, means in zip(reports, in_halves(STEPS, whole), strict=True):
        assert {name: report.metrics[name] for name in means} == means
    assert busy.reset_config({"assignment": assigned})


def test_a_trial_in_halves_stays_in_halves_in_another_worker(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, Greedy(width=4))
    report_of(worker(assigned).step())
    again = worker(replace(assigned, reported=3, method=Greedy(width=4, most=4)))
    report = report_of(again.step())
    assert report.parts == 2
    means = in_halves(STEPS, 0)[1]
    assert {name: report.metrics[name] for name in means} == means


@pytest.mark.parametrize(("batch", "most"), [(4, 1), (2, 1), (5, 3)], ids=["again", "too small", "odd"])
def test_out_of_memory_for_good_names_the_remedy(tmp_path: Path, batch: int, most: int) -> None:
    busy = worker(assignment(tmp_path, Greedy(width=4, most=most), batch=batch))
    failure = failure_of(busy.step())
    assert (failure.cause, failure.retry, failure.trace) == ("out of memory", True, "")
    assert "can't allocate memory" in failure.reason
    assert "lower the recipe's batch or network_width, or raise Budget.gpus" in failure.reason
    assert busy.reset_config({"assignment": assignment(tmp_path)})


# Failures


@dataclass(frozen=True, kw_only=True)
class Broken(SourceOnly):
    """Raises an error in its losses."""

    error: str

    def __post_init__(self) -> None:
        """Nothing is checked: the fields are the test's."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        raise {"RuntimeError": RuntimeError, "KeyError": KeyError}[self.error]("line one\nline two")


@dataclass(frozen=True, kw_only=True)
class Exploding(SourceOnly):
    """Has an infinite loss."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        return {name: loss * torch.inf for name, loss in super().losses(step).items()}


def test_divergence_is_not_tried_again(tmp_path: Path) -> None:
    busy = worker(assignment(tmp_path, Exploding()))
    assert failure_of(busy.step()) == Failure("diverged", "the segmentation loss is inf at step 1", retry=False)
    assert busy.reset_config({"assignment": assignment(tmp_path)})
    assert numbers(report_of(busy.step())) == undisturbed(SourceOnly())[0]


def test_wrong_data_are_named(tmp_path: Path) -> None:
    missing = DataError("/data/gta5/00001.png is missing;\nsee the README")
    busy = worker(assignment(tmp_path, shift=Unopenable((32, 64), TOWN.groups, missing)))
    assert failure_of(busy.step()) == Failure("data", "/data/gta5/00001.png is missing; see the README", retry=True)
    assert busy.reset_config({"assignment": assignment(tmp_path)})


@pytest.mark.parametrize("error", ["RuntimeError", "KeyError"])
def test_an_unknown_error_has_a_trace_and_breaks_the_worker(tmp_path: Path, error: str) -> None:
    busy = worker(assignment(tmp_path, Broken(error=error)))
    failure = failure_of(busy.step())
    assert (failure.cause, failure.retry) == ("error", True)
    assert failure.reason.startswith(f"{error}: ")
    assert "in losses" in failure.trace
    assert failure.trace.count("\n") > 5
    child = os.fork()
    if child == 0:
        busy.reset_config({"assignment": assignment(tmp_path)})
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1, "its next trial is handed to another worker"


def test_the_network_is_the_one_that_the_trial_names(tmp_path: Path) -> None:
    busy = worker(assignment(tmp_path))
    busy.step()
    assert busy._training is not None
    assert isinstance(busy._training.run.network, bisenet.BiSeNet)
    assert repr(busy) == f"an_arm-SourceOnly-confirm0-{assignment(tmp_path).ask.trial.id[:6]}"
    busy.cleanup()
    assert busy._training is None


def test_an_assignment_survives_the_way_to_its_worker(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    assert pickle.loads(pickle.dumps(assigned)) == assigned
    assert np.isfinite(assigned.reported)
