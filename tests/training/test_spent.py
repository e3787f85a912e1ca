"""Where a trial's time goes, and what it says of waiting."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from platform.methods import FDA, SourceOnly
from platform.records.record import Report
from platform.shifts.shift import Images, LabelledImages, Pixels
from platform.training import spent as time_spent
from platform.training.attempt import take_step
from platform.training.spent import Spent, starving
from tests.support.attempts import assignment, attempt, report_of
from tests.support.tiny_splits import splits, training_run

REPORT = Report(10, seconds=50.0, metrics={}, confusions={}, evaluating=10.0, images=80)


@pytest.mark.parametrize(("seconds", "said"), [(0.0, ""), (7.9, ""), (8.1, "20 %"), (38.0, "95 %")])
def test_a_trial_that_waits_more_than_a_fifth_of_its_training_says_so(seconds: float, said: str) -> None:
    words = starving(replace(REPORT, awaiting_images=seconds))
    assert (words != "") == (said != "")
    assert said.replace(" ", "") in words
    if words:
        assert "XDG_CACHE_HOME" in words


def test_a_second_of_waiting_is_not_worth_a_word() -> None:
    assert starving(Report(10, seconds=2.0, metrics={}, confusions={}, awaiting_images=1.9)) == ""


def test_a_report_says_its_speed_and_what_it_waited_for() -> None:
    times = replace(REPORT, awaiting_images=4.0, awaiting_device=3.0, saving=2.0).times
    assert times == {
        "time/images_per_second": 2.0,
        "time/awaiting_images": 4.0,
        "time/awaiting_device": 3.0,
        "time/evaluating": 10.0,
        "time/saving": 2.0,
    }
    assert replace(REPORT, images=0).times == {}, "of a version that did not note it"


class Slow:
    """Arrays that a thread reads only when it is let, in the time that this takes."""

    def __init__(self, arrays: Pixels, seconds: float) -> None:
        self._arrays, self._seconds = arrays, seconds
        self.shape = arrays.shape

    def __len__(self) -> int:
        return len(self._arrays)

    def __getitem__(self, positions: list[int]) -> Pixels:
        time.sleep(self._seconds)
        return self._arrays[positions]


def test_waiting_for_slow_images_is_noted_and_the_rest_of_the_time_is_not() -> None:
    data = splits()
    source = data.source_train
    pixels = Slow(np.asarray(source.images.pixels[[*range(len(source))]]), 0.5)
    slow = replace(data, source_train=LabelledImages(Images(pixels, source.images.names), source.labels))
    run, spent = training_run(SourceOnly(), slow), Spent()
    with spent.training(run):
        run.advance(3)
    assert 1.0 < spent.awaiting_images <= spent.seconds
    assert spent.awaiting_device < 0.1


def test_waiting_for_a_device_that_is_behind_counts_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the training thread, whatever the thread that reads waits for besides: the same copy, on a GPU."""
    run, spent = training_run(SourceOnly()), Spent()
    monkeypatch.setattr(run.batches._transfer, "wait", lambda slot: time.sleep(0.1))
    with spent.training(run):
        run.advance(3)
    assert spent.awaiting_device >= 0.3


def test_a_trial_says_once_that_it_waits_also_after_it_was_taken_up_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(time_spent, "MOST_WAITING", 0.0)
    monkeypatch.setattr(time_spent, "LEAST_SECONDS", 0.0)
    assigned = assignment(tmp_path)
    waits = attempt(assigned)
    first = report_of(take_step(waits))
    assert waits.said == [starving(first)]
    assert waits.said[0].startswith("it waits for its images")
    again = attempt(replace(assigned, reported=first.step))
    assert report_of(take_step(again)).step > first.step
    assert again.said == []
    report_of(take_step(waits))
    assert len(waits.said) == 1


def test_every_report_of_an_attempt_notes_it(tmp_path: Path) -> None:
    assigned = assignment(tmp_path, FDA(beta=0.1))
    busy = attempt(assigned)
    first, second = report_of(take_step(busy)), report_of(take_step(busy))
    for report, before in ((first, 0), (second, first.step)):
        assert report.images == 2 * assigned.recipe.batch * (report.step - before)
        assert report.precision == "float32"
        assert 0 <= report.awaiting_images < report.seconds
    assert first.saving == 0, "nothing was left before it"
    assert second.saving > 0
