"""How long one image takes, and of which trials that is on record."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from platform.methods import SourceOnly
from platform.training.attempt import _latency, take_step
from platform.training.device.latency import TIMED, WARM_UP, latency
from platform.training.run import Interrupted, TrainingRun
from tests.support.attempts import assignment, attempt, process_as_it_was, report_of
from tests.support.own_methods import TEACHER, MeanTeacher
from tests.support.tiny_splits import SIZE, assert_same, state, training_run


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    with process_as_it_was():
        yield


def timed(run: TrainingRun, size: tuple[int, int]) -> float:
    """The latency of what a run deploys."""
    return latency(partial(run.predict, domain="target"), size, run.device)


def test_it_is_the_median_of_single_images_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that counts nothing but what each image is said to take."""
    run, given, passed = training_run(SourceOnly()), list[tuple[int, ...]](), 0.0
    taking = iter([100.0] * WARM_UP + [0.01 * (number % 7 + 1) for number in range(TIMED)])

    def segment(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal passed
        given.append(tuple(arguments[0].shape))
        passed += next(taking)

    run.network.register_forward_pre_hook(segment)
    monkeypatch.setattr(time, "perf_counter", lambda: passed)
    assert timed(run, (48, 96)) == pytest.approx(0.04)
    assert given == [(1, 3, 48, 96)] * (WARM_UP + TIMED)
    assert TIMED >= 20


def test_what_is_called_before_an_image_is_not_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    run, passed = training_run(SourceOnly()), 0.0

    def before() -> None:
        nonlocal passed
        passed += 100.0

    monkeypatch.setattr(time, "perf_counter", lambda: passed)
    assert latency(partial(run.predict, domain="target"), SIZE, run.device, before) == 0.0
    assert passed == 100.0 * (WARM_UP + TIMED)


def test_what_it_times_is_what_is_deployed_and_takes_its_time() -> None:
    run = training_run(MeanTeacher())
    teacher = run._modules[TEACHER]
    teacher.register_forward_pre_hook(lambda *_: time.sleep(0.02))
    assert timed(run, SIZE) >= 0.02


def test_it_changes_nothing() -> None:
    run, undisturbed = training_run(MeanTeacher()), training_run(MeanTeacher())
    for each in (run, undisturbed):
        each.advance(2)
    before = torch.get_rng_state()
    timed(run, SIZE)
    assert torch.equal(torch.get_rng_state(), before)
    assert run.advance(2) == undisturbed.advance(2)
    assert_same(state(run), state(undisturbed))


def test_a_confirm_trials_last_report_has_it_and_no_other(tmp_path: Path) -> None:
    confirm, search = (attempt(assignment(tmp_path, seed=seed)) for seed in (1, 0))
    found = [[report_of(take_step(each)).latency for _ in range(2)] for each in (confirm, search)]
    assert found[0][0] == 0.0
    assert found[0][1] > 0.0
    assert found[1] == [0.0, 0.0]


def test_it_is_no_time_of_training(tmp_path: Path) -> None:
    """What is deployed is slow for a single image alone, as an evaluation has none."""
    busy = attempt(assignment(tmp_path))
    report_of(take_step(busy))
    assert busy.training is not None
    network = busy.training.run.network
    network.register_forward_pre_hook(lambda _, given: time.sleep(0.05) if len(given[0]) == 1 else None)
    last = report_of(take_step(busy))
    assert last.latency >= 0.05
    assert last.evaluating >= 26 * 0.05


def test_it_stops_between_two_images(tmp_path: Path) -> None:
    asked = iter([False] * 3)
    assigned = assignment(tmp_path)
    busy = attempt(assigned)
    report_of(take_step(busy))
    assert busy.training is not None
    with pytest.raises(Interrupted):
        _latency(assigned, busy.training.run, lambda: next(asked, True))
