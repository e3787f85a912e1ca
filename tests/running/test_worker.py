"""Ray's rim around an attempt: the Trainable itself, without Ray's processes, on a tiny town."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from platform.methods import SEGMENTATION, SourceOnly
from platform.methods.step import Step
from platform.networks.architectures.bisenet import BiSeNet
from platform.running.machine.meters import Meters, Reading
from platform.running.worker import NODE_LABEL, TrialTrainable
from platform.running.workers.parcel import PARCEL, Parcel
from platform.training.attempt import Attempt
from tests.support.attempts import (
    NODE,
    assignment,
    failure_of,
    numbers,
    process_as_it_was,
    report_of,
    sent,
    undisturbed,
)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialTrainable]:
    """A worker of a node that Ray knows nothing of, with its first trial."""
    monkeypatch.setattr("platform.running.worker.this_node", lambda: NODE)
    with process_as_it_was():
        yield TrialTrainable(sent(assignment(tmp_path)))


@dataclass(frozen=True, kw_only=True)
class Broken(SourceOnly):
    """Raises an error that nobody foresaw."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        raise KeyError("a mistake")


@dataclass(frozen=True, kw_only=True)
class Exploding(SourceOnly):
    """Has an infinite loss."""

    def losses(self, step: Step) -> dict[str, Tensor]:
        return {SEGMENTATION: step.prediction.logits.square().sum() * torch.inf}


def test_a_step_says_nothing_but_its_result(worker: TrialTrainable) -> None:
    said = worker.step()
    assert said.keys() == {"result"}
    report = report_of(said["result"])
    assert numbers(report) == undisturbed(SourceOnly())[0]
    assert report.node == NODE.address


def test_a_report_has_what_the_meters_counted_while_it_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter([Reading(100.0, {"processor 0": 7.0}), Reading(130.0, {"processor 0": 907.0})])

    class Counting(Meters):
        """A processor's meter, as it was before and after."""

        def read(self) -> Reading:
            return next(readings)

    monkeypatch.setattr("platform.running.worker.this_node", lambda: NODE)
    monkeypatch.setattr("platform.running.worker.Meters", Counting)
    with process_as_it_was():
        report = report_of(TrialTrainable(sent(assignment(tmp_path))).step()["result"])
    assert (report.energy, report.metered) == ({"processor 0": 900.0}, (100.0, 130.0))
    assert numbers(report) == undisturbed(SourceOnly())[0], "whoever looks at meters changes no number"


def test_a_worker_takes_the_next_trial(worker: TrialTrainable, tmp_path: Path) -> None:
    worker.step()
    other = assignment(tmp_path / "other", seed=2)
    assert worker.reset_config(sent(other))
    assert repr(worker) == other.name
    assert numbers(report_of(worker.step()["result"])) == undisturbed(SourceOnly(), seed=2)[0]


def test_a_trial_that_fails_by_its_own_fault_leaves_its_worker_whole(worker: TrialTrainable, tmp_path: Path) -> None:
    worker.reset_config(sent(assignment(tmp_path, Exploding())))
    assert failure_of(worker.step()["result"]).cause == "diverged"
    assert worker.reset_config(sent(assignment(tmp_path)))
    assert numbers(report_of(worker.step()["result"])) == undisturbed(SourceOnly())[0]


def test_after_an_unknown_error_a_worker_ends_when_it_is_given_the_next_trial(
    worker: TrialTrainable, tmp_path: Path
) -> None:
    worker.reset_config(sent(assignment(tmp_path, Broken())))
    assert failure_of(worker.step()["result"]).cause == "error"
    child = os.fork()
    if child == 0:
        worker.reset_config(sent(assignment(tmp_path)))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1, "its next trial is handed to another worker"


def test_a_worker_that_was_never_set_up_has_a_name_nevertheless() -> None:
    """Ray asks for it when it says why the worker was not, and a second error would hide the first."""
    assert repr(TrialTrainable.__new__(TrialTrainable)) == "TrialTrainable"


def test_a_worker_lets_go_of_its_trial(worker: TrialTrainable) -> None:
    worker.step()
    attempt = worker._attempt
    assert isinstance(attempt, Attempt)
    assert attempt.training is not None
    assert isinstance(attempt.training.run.network, BiSeNet)
    worker.cleanup()
    assert attempt.training is None


def test_a_trial_asks_for_its_slot_on_none_of_the_nodes_that_it_avoids(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    anywhere = TrialTrainable.default_resource_request({PARCEL: Parcel(assigned)})
    assert anywhere.bundles == [{"CPU": 1.0}]
    elsewhere = TrialTrainable.default_resource_request({PARCEL: Parcel(replace(assigned, avoided=("a", "b")))})
    assert elsewhere != anywhere
    assert elsewhere._kwargs["bundle_label_selector"] == [{NODE_LABEL: "!in(a,b)"}]
