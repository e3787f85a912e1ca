"""How fast trials were: measured from records, of the same method and the nearest size of a step."""

import dataclasses
from pathlib import Path

import pytest

from platform.records.record import CPU, TARGET_TEST, Phase, Record, Report
from platform.records.store import JOURNAL, RECORD, Store
from platform.results.earlier import pace
from platform.results.earlier.pace import LEAST_STEPS, NEWEST, Machine, Measured, Pace, measured, pace_of
from studies.quickstart import study as quickstart
from tests.support import invented_study as invented

HERE = Machine(CPU, "a processor, 2 cores")
STEPS = invented.EVALUATED_STEPS


def trial(
    method: str = "FDA", work: float = 10.0, confirms: bool = False, shift: str = "town", **changes: float
) -> Measured:
    values = {"step": 1.0, "evaluation": 4.0, "start": 2.0} | changes
    return Measured(HERE, method, shift, work, 100, confirms, **values)


def write(
    store: Store,
    phase: Phase,
    number: int,
    seconds: float,
    device: str = CPU,
    processor: str = HERE.processor,
    last: str = "",
) -> None:
    """A trial of four reports, each of 100 steps, of which an evaluation takes a second."""
    header = invented.study(invented.arm("FDA"))
    ask = invented.ask(header, "FDA", phase, number)
    store.announce(header)
    store.ask(header.name, ask)
    store.begin(Record(ask.trial, provenance={"processor": processor}, cost={"step_gflops": 3.0, "parameters": 1}))
    confusions = {TARGET_TEST: [[1]]} if phase == "confirm" else {}
    for step in STEPS:
        started = 0.5 if step == STEPS[0] else 0.0
        on = last if last and step == STEPS[-1] else device
        report = Report(step, seconds, {}, confusions, device=on, evaluating=1.0, starting=started)
        store.report(ask.trial.id, report)


def test_what_trials_took_is_read_from_their_reports(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store, "search", 0, 3.0)
    write(store, "confirm", 0, 5.0)
    first, second = measured(store)
    ask = invented.ask(invented.study(invented.arm("FDA")), "FDA", "search", 0)
    height, width = ask.trial.shift["size"]
    assert first.work == pytest.approx(3.0 * ask.trial.recipe["batch"] * height * width / (512 * 1024))
    assert (first.method, first.pixels) == (ask.trial.method, height * width)
    assert (first.confirms, second.confirms) == (False, True)
    assert (first.step, second.step) == (2 / 100, 4 / 100)
    assert (first.evaluation, first.start) == (1.0, 0.5)


def test_what_trained_a_trial_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store, "search", 0, 3.0, processor="another")
    write(store, "search", 1, 4.0, device="a GPU")
    write(store, "search", 2, 5.0)
    assert [found.machine for found in measured(store)] == [Machine(CPU, "another"), Machine("a GPU"), HERE]


def test_a_gpu_is_the_same_however_much_its_name_says(tmp_path: Path) -> None:
    """What the driver calls it, which a plan compares with, has no multiprocessors; nor have earlier reports."""
    store = Store(tmp_path)
    for number, (device, last) in enumerate(
        [
            ("NVIDIA H100", ""),
            ("NVIDIA H100, 132 multiprocessors", ""),
            ("NVIDIA H100", "NVIDIA H100, 132 multiprocessors"),
        ]
    ):
        write(store, "search", number, 3.0, device=device, last=last)
    assert [found.machine for found in measured(store)] == [Machine("NVIDIA H100")] * 3


def test_two_parts_of_a_gpu_tell_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole, half = ("NVIDIA H100, 132 multiprocessors", "NVIDIA H100, 66 multiprocessors")
    write(store, "search", 0, 3.0, device=whole, last=half)
    assert measured(store) == []


def test_the_few_steps_of_a_smoke_run_tell_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    write(store, "search", 0, 3.0)
    assert len(measured(store)) == 1
    monkeypatch.setattr(pace, "LEAST_STEPS", invented.STEPS + 1)
    assert measured(store) == []


def test_a_smoke_run_has_too_few_steps() -> None:
    assert quickstart.smoke().budget.steps < LEAST_STEPS <= quickstart.budget.steps


def test_a_trial_of_two_devices_tells_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store, "search", 0, 3.0, last="a GPU")
    assert measured(store) == []


def test_the_newest_trials_are_looked_at(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(NEWEST + 2):
        write(store, "search", number, 3.0 + number)
    found = measured(store)
    assert len(found) == NEWEST
    assert found[0].step == 4 / 100


def test_reports_without_a_timed_evaluation_tell_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store, "search", 0, 3.0)
    folder = store.trial_folder(next(iter(store.journal("invented").asks)).trial.id)
    (record,) = [store.read(folder.name)]
    assert record is not None
    before = dataclasses.replace(record, reports=tuple(dataclasses.replace(r, evaluating=0.0) for r in record.reports))
    other = Store(tmp_path / "older")
    header = invented.study(invented.arm("FDA"))
    other.announce(header)
    other.ask(header.name, invented.ask(header, "FDA", "search", 0))
    other.begin(before)
    for report in before.reports:
        other.report(before.trial.id, report)
    assert measured(other) == []


def test_what_cannot_be_read_of_another_study_is_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store, "search", 0, 3.0)
    (tmp_path / "another" / JOURNAL).mkdir(parents=True)
    assert "another" in store.studies()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / JOURNAL).write_text("no line\n")
    assert len(measured(store)) == 1
    assert store.damages == set(), "what is damaged there concerns nobody here"
    (record,) = (tmp_path / "trials").glob(f"*/{RECORD}")
    record.unlink()
    record.mkdir()
    assert measured(store) == []


def test_a_pace_is_of_the_same_method_and_the_nearest_work() -> None:
    known = [trial(step=1.0), trial(step=3.0), trial(work=100.0, step=50.0), trial("DACS", 10.0, step=7.0)]
    assert pace_of("FDA", "town", 10.0, 100, known) == Pace(2.0, 4.0, 4.0, 2.0)
    assert pace_of("FDA", "town", 90.0, 100, known) == Pace(45.0, 4.0, 4.0, 2.0)
    assert pace_of("DANN", "town", 10.0, 200, known[-1:]) == Pace(7.0, 8.0, 8.0, 2.0), (
        "of another method where there is none"
    )
    assert pace_of("FDA", "town", 10.0, 100, []) is None


def test_tests_of_confirm_trials_take_longer() -> None:
    known = [trial(evaluation=4.0), trial(confirms=True, evaluation=6.0)]
    found = pace_of("FDA", "town", 10.0, 100, known)
    assert found is not None
    assert (found.evaluation, found.test) == (4.0, 6.0)


def test_evaluations_are_those_of_the_same_shift_whatever_was_trained() -> None:
    """Of its confirm trials where there are any: a test split may be far larger than what searches are scored on."""
    known = [trial(), trial(confirms=True, evaluation=6.0), trial("DACS", shift="photographs", evaluation=5.0)]
    found = pace_of("FDA", "photographs", 10.0, 100, known)
    assert found is not None
    assert (found.step, found.evaluation, found.test) == (1.0, 5.0, 6.0)
    known.append(trial("DACS", confirms=True, shift="photographs", evaluation=50.0))
    found = pace_of("FDA", "photographs", 10.0, 100, known)
    assert found is not None
    assert (found.evaluation, found.test) == (5.0, 50.0)
