"""What a running study knows of its trials, and what it does when the disk fails it."""

import contextlib
import dataclasses
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from platform.ledger import Ledger, StoreFault
from platform.records import PICTURE, Ask, End, Phase, Record, Report, Store
from platform.trials import Trial

ARMS = ("source only", "FDA")
COMPLETE = End("complete", "", 20)


def ask(arm: str = "FDA", phase: Phase = "search", number: int = 0) -> Ask:
    """The ask of a trial that no other arm, phase or number has."""
    recipe = {"learning_rate": 0.01 * (1 + number + 100 * ARMS.index(arm))} if arm in ARMS else {}
    seed = 0 if phase == "search" else number + 1
    return Ask(arm, phase, number, Trial("FDA", {}, recipe, {"name": "town"}, {}, seed, 20, 2, 1, "code"))


def record(asked: Ask) -> Record:
    """A record that has just begun."""
    return Record(asked.trial, {"host": "here"}, {"parameters": 1.0})


def report(step: int) -> Report:
    """A report at a step."""
    return Report(step, 1.5, {"source/miou": step / 100}, {"target/val": [[step]]})


class Ear:
    """A listener that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def begin(self, ask: Ask, record: Record) -> None:
        self.heard.append(("begin", ask, record.step))

    def report(self, ask: Ask, report: Report) -> None:
        self.heard.append(("report", ask, report.step))

    def end(self, ask: Ask, end: End, pictures: Sequence[Path]) -> None:
        self.heard.append(("end", ask, end, [picture.name for picture in pictures]))


def ledger(folder: Path, arms: Sequence[str] = ARMS) -> Ledger:
    """The ledger of a study named `question`."""
    return Ledger(Store(folder), "question", arms)


def run(book: Ledger, asked: Ask, end: End = COMPLETE) -> None:
    """A trial from its ask to its end."""
    book.ask(asked, record(asked))
    book.begin(asked)
    for step in (10, 20):
        book.report(asked, report(step))
    book.end(asked, end)


def test_every_event_is_stored_then_remembered_then_told(tmp_path: Path) -> None:
    book, ear, asked = ledger(tmp_path), Ear(), ask()
    book.listeners.append(ear)
    run(book, asked)
    whole = dataclasses.replace(record(asked), reports=(report(10), report(20)), end=COMPLETE)
    assert book.records[asked.trial.id] == whole
    assert Store(tmp_path).read(asked.trial.id) == whole
    assert Store(tmp_path).asked("question") == [asked]
    assert ear.heard == [
        ("begin", asked, 0),
        ("report", asked, 10),
        ("report", asked, 20),
        ("end", asked, COMPLETE, []),
    ]
    assert book.fault is None


def test_a_picture_is_told_of_when_there_is_one(tmp_path: Path) -> None:
    book, ear, asked = ledger(tmp_path), Ear(), ask()
    book.listeners.append(ear)
    book.ask(asked, record(asked))
    (book.store.trial_folder(asked.trial.id) / PICTURE).touch()
    book.end(asked, COMPLETE)
    assert ear.heard == [("end", asked, COMPLETE, [PICTURE])]


def test_asks_are_found_by_arm_and_phase_in_order(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    asks = [ask("FDA", "search", 0), ask("source only"), ask("FDA", "search", 1), ask("FDA", "confirm", 0)]
    for asked in asks:
        book.ask(asked, record(asked))
    assert book.asked("FDA", "search") == [asks[0], asks[2]]
    assert book.asked("FDA", "confirm") == [asks[3]]
    assert book.asked("source only", "confirm") == []


def test_what_is_known_already_changes_nothing(tmp_path: Path) -> None:
    book, asked = ledger(tmp_path), ask()
    run(book, asked)
    ear = Ear()
    book.listeners.append(ear)
    book.report(asked, report(10))
    book.report(asked, dataclasses.replace(report(20), seconds=9.0))
    book.end(asked, End("failed", "later", 20))
    assert book.ended(asked) == COMPLETE
    assert ear.heard == []
    assert Store(tmp_path).read(asked.trial.id) == book.records[asked.trial.id]


def test_a_study_that_goes_on_knows_what_it_knew(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    done, halfway = ask(number=0), ask(number=1)
    run(book, done)
    book.ask(halfway, record(halfway))
    book.report(halfway, report(10))
    again = ledger(tmp_path)
    assert again.asks == [done, halfway]
    assert again.records == book.records
    assert (again.ended(done), again.ended(halfway)) == (COMPLETE, None)
    ear = Ear()
    again.listeners.append(ear)
    again.begin(halfway)
    again.report(halfway, report(10))
    again.report(halfway, report(20))
    assert ear.heard == [("begin", halfway, 10), ("report", halfway, 20)]


def test_arms_that_the_study_has_lost_are_left_alone(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    for arm in ARMS:
        run(book, ask(arm))
    assert ledger(tmp_path, ["FDA"]).asks == [ask("FDA")]
    assert len(Store(tmp_path).asked("question")) == 2, "the store keeps them"


def test_a_trial_of_another_study_is_taken_over_with_its_record(tmp_path: Path) -> None:
    asked = ask()
    run(Ledger(Store(tmp_path), "another question", ARMS), asked)
    before = (tmp_path / "trials" / asked.trial.id / "record.jsonl").read_bytes()
    book = ledger(tmp_path)
    book.ask(asked, record(asked))
    assert book.ended(asked) == COMPLETE
    assert book.records[asked.trial.id].step == 20
    assert (tmp_path / "trials" / asked.trial.id / "record.jsonl").read_bytes() == before


def test_whatever_a_crash_leaves_every_ask_has_a_record(tmp_path: Path) -> None:
    """A search reads the record of each ask: one without would end the study."""
    whole = ledger(tmp_path / "whole")
    for number in range(2):
        run(whole, ask(number=number))

    class Killed(BaseException):
        """The driver's sudden end."""

    class Dying(Store):
        """A store whose process is killed before its n-th line."""

        lines = 0

        def _append(self, path: Path, event: str, values: dict[str, object]) -> None:
            if self.lines == 0:
                raise Killed
            self.lines -= 1
            super()._append(path, event, values)

    for lines in range(10):
        folder = tmp_path / str(lines)
        store = Dying(folder)
        store.lines = lines
        book = Ledger(store, "question", ARMS)
        with contextlib.suppress(Killed):
            for number in range(2):
                run(book, ask(number=number))
        again = ledger(folder)
        assert {asked.trial.id for asked in again.asks} <= again.records.keys(), lines
        for number in range(2):
            if ask(number=number) not in again.asks:
                again.ask(ask(number=number), record(ask(number=number)))
            for step in (10, 20):
                again.report(ask(number=number), report(step))
            again.end(ask(number=number), COMPLETE)
        assert ledger(folder).asks == whole.asks
        assert ledger(folder).records == whole.records


@pytest.mark.parametrize("event", ["ask", "begin", "report", "end"])
def test_a_store_that_fails_is_a_fault_and_no_exception(tmp_path: Path, event: str) -> None:
    book, asked, ear = ledger(tmp_path), ask(), Ear()
    book.listeners.append(ear)

    def fail(folder: str) -> None:
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
        (tmp_path / folder).touch()

    if event == "ask":
        fail("question")
    if event == "begin":
        fail("trials")
    book.ask(asked, record(asked))
    book.begin(asked)
    if event == "report":
        fail("trials")
    book.report(asked, report(10))
    if event == "end":
        fail("trials")
    book.end(asked, COMPLETE)
    assert isinstance(book.fault, StoreFault)
    assert book.records[asked.trial.id].reports == (report(10),), "memory goes on, so that Ray can end its trials"
    assert book.ended(asked) == COMPLETE
    assert len(ear.heard) == 3


def test_after_a_fault_nothing_more_is_written(tmp_path: Path) -> None:
    book, first, second = ledger(tmp_path), ask(number=0), ask(number=1)
    book.ask(first, record(first))
    shutil.move(tmp_path / "trials", tmp_path / "aside")
    (tmp_path / "trials").touch()
    book.report(first, report(10))
    fault = book.fault
    assert isinstance(fault, StoreFault)
    (tmp_path / "trials").unlink()
    shutil.move(tmp_path / "aside", tmp_path / "trials")
    book.report(first, report(20))
    book.ask(second, record(second))
    assert book.fault is fault, "the first fault is the one to tell"
    read = Store(tmp_path).read(first.trial.id)
    assert read is not None
    assert read.reports == (), "no report stands after a lost one"
    assert Store(tmp_path).asked("question") == [first]


def test_ray_may_pickle_it(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    run(book, ask())
    assert len(pickle.dumps(book)) < 200, "records are not sent along"
