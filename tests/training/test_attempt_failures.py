"""An attempt at a trial on a tiny town: disks, memory, data and methods that fail it."""

import builtins
import inspect
import io
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from platform.methods import SEGMENTATION, Adversarial, SourceOnly
from platform.methods.step import Step
from platform.networks import BiSeNet18
from platform.records.provenance import ROOT
from platform.records.storage.storage import leave_mark
from platform.records.store import CHECKPOINT, evidence_file
from platform.shifts.shift import DataError
from platform.training.assignment import DiskFailure, Failure, UnfitNode, breaks_worker
from platform.training.attempt import take_step
from platform.training.run import TrainingRun
from tests.support.attempts import (
    EVALUATIONS,
    NODE,
    STEPS,
    TOWN,
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
from tests.support.small_disk import mounted
from tests.support.tiny_splits import composition

SMALL = 4_194_304
"""Bytes of the small disk."""


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    with process_as_it_was():
        yield


# The disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for little."""
    with mounted(tmp_path / "small", SMALL) as folder:
        yield folder


LIMITED = """
import pickle, resource, signal, sys
from platform.training.attempt import take_step
from tests.support.attempts import attempt
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
assigned, limit = pickle.load(sys.stdin.buffer)
busy = attempt(assigned)
results = [take_step(busy)]
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
results.append(take_step(busy))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
results.append(take_step(busy))
sys.stdout.buffer.write(pickle.dumps(results))
"""


def test_a_disk_that_takes_no_more_is_no_failure_of_the_trial(tmp_path: Path) -> None:
    """A real one: the kernel refuses a file's last bytes. Afterwards the worker goes on from the last good."""
    assigned = assignment(tmp_path)
    saved = subprocess.run(
        [sys.executable, "-c", LIMITED],
        input=pickle.dumps((assigned, 100_000)),
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    ).stdout
    first, full, second = pickle.loads(saved)
    assert full == DiskFailure(f"{folder_of(assigned) / evidence_file(6)}: File too large")
    # The report of the checkpoint that is there comes again: nobody said that the driver has it.
    assert report_of(second) == report_of(first)
    assert not list(folder_of(assigned).glob("*.partial-*"))


def test_no_space_left(small_disk: Path) -> None:
    """The first checkpoint and all evidence fit, and a second checkpoint beside the first does not."""
    assigned = assignment(small_disk, seed=0)
    busy = attempt(assigned)
    first = report_of(take_step(busy))
    good = checkpoint_of(assigned).read_bytes()
    evidence = (folder_of(assigned) / evidence_file(first.step)).stat().st_size
    (small_disk / "ballast").write_bytes(bytes(SMALL - len(good) - 2 * evidence - 50_000))
    assert take_step(busy) == DiskFailure(f"{checkpoint_of(assigned)}: No space left on device")
    assert checkpoint_of(assigned).read_bytes() == good
    assert left(assigned) == {CHECKPOINT, evidence_file(3), evidence_file(6)}

    (small_disk / "ballast").unlink()
    again = attempt(replace(assigned, reported=first.step))
    assert numbers(report_of(take_step(again))) == undisturbed(SourceOnly(), seed=0)[1]


def test_a_results_folder_that_is_gone_is_no_failure_of_the_trial(tmp_path: Path) -> None:
    (tmp_path / "trials").write_text("no folder")
    result = take_step(attempt(assignment(tmp_path)))
    assert isinstance(result, DiskFailure)
    assert result.reason.endswith(": Not a directory")


def test_data_that_the_disk_refuses_are_no_failure_of_the_trial(tmp_path: Path) -> None:
    refused = OSError(28, "No space left on device", "/cache/town.npy")
    assigned = assignment(tmp_path, shift=unopenable(refused))
    assert take_step(attempt(assigned)) == DiskFailure("/cache/town.npy: No space left on device")


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
    take_step(attempt(assigned))
    checkpoint_of(assigned).write_bytes(damage(checkpoint_of(assigned).read_bytes()))
    again = attempt(replace(assigned, reported=3))
    assert tuple(numbers(report_of(take_step(again))) for _ in range(EVALUATIONS)) == undisturbed(SourceOnly())
    (said,) = again.said
    assert said.startswith("its checkpoint is damaged (")
    assert said.endswith("), and does not count: what it held is trained again")


def test_another_trials_checkpoint_does_not_count(tmp_path: Path) -> None:
    """Two were exchanged: one of another seed fits the networks, and gave other numbers."""
    one, other = (assignment(tmp_path / str(seed), seed=seed) for seed in (1, 2))
    take_step(attempt(one))
    take_step(attempt(other))
    checkpoint_of(one).write_bytes(checkpoint_of(other).read_bytes())
    again = attempt(replace(one, reported=3))
    assert tuple(numbers(report_of(take_step(again))) for _ in range(EVALUATIONS)) == undisturbed(SourceOnly())
    assert again.said == [
        f"its checkpoint is of trial {other.ask.trial.id!r}, and does not count: what it held is trained again"
    ]


def test_a_checkpoint_of_a_newer_version_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assigned = assignment(tmp_path)
    with monkeypatch.context() as later:
        later.setattr("platform.training.attempt.CHECKPOINT_FORMAT", 2)
        take_step(attempt(assigned))
    again = attempt(replace(assigned, reported=3))
    assert tuple(numbers(report_of(take_step(again))) for _ in range(EVALUATIONS)) == undisturbed(SourceOnly())
    assert again.said == [
        "its checkpoint is in format 2, which a newer version writes, and does not count: what it held is trained again"
    ]


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
        if len(step.source.images) > self.most and round(float(step.progress) * STEPS) + 1 >= self.from_step:
            torch.empty(2**60)
        return losses


def in_halves(steps: int, whole: int) -> list[dict[str, float]]:
    """The means of a trial's intervals when its batches are halved after so many steps."""
    with tempfile.TemporaryDirectory() as folder:
        assigned = assignment(Path(folder))
    seed, recipe = assigned.ask.trial.seed, assigned.recipe
    run = TrainingRun(composition(Adversarial(width=4)), recipe, TOWN.open(), seed, STEPS, torch.device("cpu"))
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
    busy = attempt(assigned)
    reports = [report_of(take_step(busy)) for _ in range(EVALUATIONS)] if whole == 0 else [report_of(take_step(busy))]
    if whole:
        # The report of the checkpoint comes again unless the driver has it.
        busy.assignment = replace(assigned, reported=3)
        reports.append(report_of(take_step(busy)))
    assert [report.parts for report in reports] == [1 if report.step <= whole else 2 for report in reports]
    for report, means in zip(reports, in_halves(STEPS, whole), strict=True):
        assert {name: report.metrics[name] for name in means} == means


def test_a_trial_in_halves_stays_in_halves_in_another_worker(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, Greedy(width=4))
    report_of(take_step(attempt(assigned)))
    again = attempt(replace(assigned, reported=3, methods=composition(Greedy(width=4, most=4))))
    report = report_of(take_step(again))
    assert report.parts == 2
    means = in_halves(STEPS, 0)[1]
    assert {name: report.metrics[name] for name in means} == means


@pytest.mark.parametrize(("batch", "most"), [(4, 1), (2, 1), (5, 3)], ids=["again", "too small", "odd"])
def test_out_of_memory_for_good_names_the_remedy(tmp_path: Path, batch: int, most: int) -> None:
    busy = attempt(assignment(tmp_path, Greedy(width=4, most=most), batch=batch))
    failure = failure_of(take_step(busy))
    assert (failure.cause, failure.retry, failure.trace) == ("out of memory", True, "")
    assert "can't allocate memory" in failure.reason
    assert "lower the recipe's batch or the network's width, or raise Budget.gpus" in failure.reason
    assert not breaks_worker(failure)


# Failures


@dataclass(frozen=True, kw_only=True)
class Broken(SourceOnly):
    """Raises an error in its losses."""

    error: str

    def __post_init__(self) -> None:
        """Nothing is checked: the fields are the test's."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        raise (getattr(builtins, self.error, None) or getattr(torch, self.error))("line one\nline two")


@dataclass(frozen=True, kw_only=True)
class Exploding(SourceOnly):
    """Has an infinite loss."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        return {SEGMENTATION: step.prediction.logits.square().sum() * torch.inf}


def test_divergence_is_not_tried_again(tmp_path: Path) -> None:
    failure = failure_of(take_step(attempt(assignment(tmp_path, Exploding()))))
    assert failure == Failure("diverged", "the segmentation loss is inf at step 1", retry=False)
    assert not breaks_worker(failure)


def test_wrong_data_are_named(tmp_path: Path) -> None:
    missing = DataError("/data/gta5/00001.png is missing;\nsee the README")
    failure = failure_of(take_step(attempt(assignment(tmp_path, shift=unopenable(missing)))))
    assert failure == Failure("data", "/data/gta5/00001.png is missing; see the README", retry=True)
    assert not breaks_worker(failure)


def test_without_weights_a_node_of_a_cluster_is_unfit_and_one_machine_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node may have them; alone, the trial fails for a reason outside of it."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    damaged = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    damaged.parent.mkdir(parents=True)
    damaged.touch()
    alone = assignment(tmp_path / "results", batch=4)
    alone = replace(alone, recipe=replace(alone.recipe, network=BiSeNet18(pretrained=True)))
    failure = failure_of(take_step(attempt(alone)))
    assert (failure.cause, failure.retry) == ("data", True)
    assert str(damaged) in failure.reason
    unfit = take_step(attempt(replace(alone, mark=leave_mark(alone.storage, "study"))))
    assert unfit == UnfitNode(NODE, failure.reason)
    assert "does not hold the ImageNet weights" in failure.reason
    assert breaks_worker(unfit)


@pytest.mark.parametrize("error", ["RuntimeError", "KeyError", "AcceleratorError"])
def test_an_unknown_error_has_a_trace_and_breaks_the_worker(tmp_path: Path, error: str) -> None:
    cause = "worker lost" if error == "AcceleratorError" else "error"
    failure = failure_of(take_step(attempt(assignment(tmp_path, Broken(error=error)))))
    assert (failure.cause, failure.retry) == (cause, True)
    assert failure.reason.startswith(f"{error}: ")
    assert "in losses" in failure.trace
    assert failure.trace.count("\n") > 5
    assert breaks_worker(failure)


@dataclass(frozen=True, kw_only=True)
class Blind(SourceOnly):
    """Reads no target images, and uses them."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        return {SEGMENTATION: step.target_prediction.logits.mean()}


@dataclass(frozen=True, kw_only=True)
class Wordless(SourceOnly):
    """Raises an error that says nothing."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        raise AssertionError


@dataclass(frozen=True, kw_only=True)
class Flat(SourceOnly):
    """Gives the network images without a height."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        step.segment(step.source.images.flatten(2), "source")
        return {}


@dataclass(frozen=True, kw_only=True)
class Misspelt(SourceOnly):
    """Calls the network's player by another name."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        return {"segmentatoin": step.prediction.logits.mean()}


def line_of(method: type, code: str) -> str:
    """`file.py:28`: where a line of a method's losses is."""
    lines, first = inspect.getsourcelines(vars(method)["losses"])
    number = next(number for number, line in enumerate(lines, first) if code in line)
    return f"{Path(__file__).name}:{number}"


def test_an_error_is_named_with_the_line_of_the_method_that_raised_it(tmp_path: Path) -> None:
    failure = failure_of(take_step(attempt(assignment(tmp_path, Broken(error="RuntimeError")))))
    assert failure.reason == f"RuntimeError: line one line two at {line_of(Broken, 'raise ')}"
    failure = failure_of(take_step(attempt(assignment(tmp_path, Wordless()))))
    assert failure.reason == f"AssertionError at {line_of(Wordless, 'raise ')}"
    failure = failure_of(take_step(attempt(assignment(tmp_path, Blind()))))
    assert failure.reason == (
        "ValueError: a method sees what its `reads` names, source, and asked for target; add it to `reads` "
        f"at {line_of(Blind, 'step.target_prediction')}"
    )
    failure = failure_of(take_step(attempt(assignment(tmp_path, Flat()))))
    assert failure.reason.endswith(f" at {line_of(Flat, 'step.segment(')}"), "not of the network, and not torch's"


def test_losses_of_other_players_are_named(tmp_path: Path) -> None:
    failure = failure_of(take_step(attempt(assignment(tmp_path, Misspelt()))))
    assert failure.cause == "error"
    assert (
        failure.reason == "ValueError: Misspelt.losses must name players, segmentation, got 'segmentatoin'; rename it"
    )


def test_an_assignment_survives_the_way_to_its_worker(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    assert pickle.loads(pickle.dumps(assigned)) == assigned
