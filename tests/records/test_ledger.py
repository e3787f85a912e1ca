"""What a running study knows of its trials, and what it does when the disk fails it."""

import dataclasses
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from platform.records.ledger import Event, Ledger, StoreFault
from platform.records.provenance import ROOT
from platform.records.record import Ask, End, Phase, Record
from platform.records.store import CHECKPOINT, Store
from tests.support.ledgers import ARMS, COMPLETE, STOPPED, ask, begin, ledger, record, report, run


class Ear:
    """A listener that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Event, Ask, End | int | None]] = []

    def hear(self, event: Event, ask: Ask, record: Record) -> None:
        self.heard.append((event, ask, record.end if event == "end" else record.step))


def test_every_event_is_stored_then_remembered_then_told(tmp_path: Path) -> None:
    book, ear, asked = ledger(tmp_path), Ear(), ask()
    book.listeners.append(ear)
    run(book, asked)
    whole = dataclasses.replace(record(asked), reports=(report(10), report(20)), end=COMPLETE)
    assert book.records[asked.trial.id] == whole
    assert Store(tmp_path).read(asked.trial.id) == whole
    assert Store(tmp_path).journal("question").asks == (asked,)
    assert Store(tmp_path).journal("question").ends == {asked.key: COMPLETE}
    assert ear.heard == [
        ("begin", asked, 0),
        ("report", asked, 10),
        ("report", asked, 20),
        ("end", asked, COMPLETE),
    ]
    assert book.fault is None


def test_asks_are_found_by_arm_and_phase_in_order(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    asks = [ask("FDA", "search", 0), ask("source only"), ask("FDA", "search", 1), ask("FDA", "confirm", 0)]
    for asked in asks:
        book.ask(asked)
    assert book.asked("FDA") == [asks[0], asks[2], asks[3]]
    assert book.asked("FDA", "search") == [asks[0], asks[2]]
    assert book.asked("FDA", "confirm") == [asks[3]]
    assert book.asked("source only", "confirm") == []


def test_what_is_known_already_changes_nothing(tmp_path: Path) -> None:
    book, asked = ledger(tmp_path), ask()
    begin(book, asked)
    assert book.report(asked, report(10))
    assert not book.report(asked, dataclasses.replace(report(10), seconds=9.0))
    book.report(asked, report(20))
    book.end(asked, COMPLETE)
    ear = Ear()
    book.listeners.append(ear)
    assert not book.report(asked, report(10))
    book.end(asked, COMPLETE)
    assert book.ended(asked) == COMPLETE
    assert ear.heard == []
    assert Store(tmp_path).read(asked.trial.id) == book.records[asked.trial.id]


def test_a_study_that_goes_on_knows_what_it_knew(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    done, halfway = ask(number=0), ask(number=1)
    run(book, done)
    begin(book, halfway)
    book.report(halfway, report(10))
    book.close()
    again = ledger(tmp_path)
    assert again.asks == [done, halfway]
    assert again.records == book.records
    assert (again.ended(done), again.ended(halfway)) == (COMPLETE, None)
    ear = Ear()
    again.listeners.append(ear)
    assert again.take_up(halfway, lambda: record(halfway))
    again.begin(halfway)
    again.report(halfway, report(10))
    again.report(halfway, report(20))
    assert ear.heard == [("begin", halfway, 10), ("report", halfway, 20)]


def test_arms_that_the_study_has_lost_are_left_alone(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    for arm in ARMS:
        run(book, ask(arm))
    assert ledger(tmp_path, ["FDA"]).asks == [ask("FDA")]
    assert len(Store(tmp_path).journal("question").asks) == 2, "the store keeps them"


def test_a_trial_of_another_study_is_taken_over_with_its_reports(tmp_path: Path) -> None:
    asked = ask()
    run(ledger(tmp_path, study="another"), asked)
    before = (tmp_path / "trials" / asked.trial.id / "record.jsonl").read_bytes()
    book = ledger(tmp_path)
    begin(book, asked)
    assert book.record(asked).step == 20
    assert book.ended(asked) is None, "whether it ended is decided by the study"
    book.end(asked, COMPLETE)
    assert (tmp_path / "trials" / asked.trial.id / "record.jsonl").read_bytes() == before, "nothing is written twice"
    assert ledger(tmp_path).ended(asked) == COMPLETE


def test_a_study_sees_no_more_of_a_trial_than_it_let_it_run(tmp_path: Path) -> None:
    asked = ask()
    first = ledger(tmp_path)
    begin(first, asked)
    first.report(asked, report(10))
    first.end(asked, STOPPED)
    other = ledger(tmp_path, study="another")
    begin(other, asked)
    other.report(asked, report(20))
    other.end(asked, COMPLETE)
    assert ledger(tmp_path).record(asked).reports == (report(10),)
    assert ledger(tmp_path).ended(asked) == STOPPED
    assert ledger(tmp_path, study="another").ended(asked) == COMPLETE


def test_how_a_trial_failed_in_another_study_is_known_unless_it_may_be_tried_again(tmp_path: Path) -> None:
    sick, unlucky = ask(number=0), ask(number=1)
    other = ledger(tmp_path, study="another")
    diverged, lost = End("failed", "diverged", "nan", 10), End("failed", "worker lost", "4 times", 10, retry=True)
    for asked, end in ((sick, diverged), (unlucky, lost)):
        begin(other, asked)
        other.report(asked, report(10))
        other.end(asked, end)
    other.close()
    book = ledger(tmp_path)
    for asked in (sick, unlucky):
        begin(book, asked)
    assert book.records[sick.trial.id].end == diverged
    assert book.records[unlucky.trial.id].end is None


def test_what_may_be_tried_again_is_open_when_the_study_goes_on(tmp_path: Path) -> None:
    book, asked = ledger(tmp_path), ask()
    begin(book, asked)
    book.fail(asked, End("failed", "data", "a.png", 0, retry=True))
    assert book.records[asked.trial.id].is_given_up
    again = ledger(tmp_path)
    assert again.ended(asked) == End("failed", "data", "a.png", 0, retry=True), "the table says so"
    with again.start_over():
        again.ask(asked)
    assert again.ended(asked) is None
    assert again.records[asked.trial.id].end is None


@pytest.mark.parametrize(
    ("phase", "step", "again"), [("search", 0, True), ("search", 10, False), ("confirm", 10, True)]
)
def test_an_error_is_tried_again_before_the_first_report_and_where_nothing_is_decided_by_it(
    tmp_path: Path, phase: Phase, step: int, again: bool
) -> None:
    book, asked, error = ledger(tmp_path), ask(phase=phase), End("failed", "error", "KeyError: 'x'", step, retry=True)
    begin(book, asked)
    if step:
        book.report(asked, report(step))
    book.fail(asked, error)
    assert book.records[asked.trial.id].is_given_up is again
    book.close()
    later = ledger(tmp_path)
    with later.start_over():
        later.ask(asked)
    for _ in range(2):
        assert later.records[asked.trial.id].end == (None if again else error)
        later.take_up(asked, lambda: record(asked))


def test_a_failure_from_outside_is_told_in_each_run_in_which_it_comes(tmp_path: Path) -> None:
    lost, asked = End("failed", "out of memory", "the GPU has 1 GiB", 10, retry=True), ask()
    for _ in range(2):
        book, ear = ledger(tmp_path), Ear()
        book.listeners.append(ear)
        with book.start_over():
            book.ask(asked)
        begin(book, asked)
        book.report(asked, report(10))
        book.fail(asked, lost)
        book.close()
        assert (ear.heard[0][0], ear.heard[-1]) == ("begin", ("end", asked, lost))


def test_the_weights_of_a_trial_with_an_error_of_its_own_go_and_those_of_one_to_be_tried_again_stay(
    tmp_path: Path,
) -> None:
    for number, step in enumerate((10, 0)):
        book, asked = ledger(tmp_path), ask(number=number)
        begin(book, asked)
        weights = tmp_path / "trials" / asked.trial.id / CHECKPOINT
        weights.touch()
        book.report(asked, report(10))
        end = End("failed", "error", "a bug", step, retry=True)
        book.fail(asked, end)
        if step:
            book.end(asked, end)
        assert weights.exists() == (step == 0)


class Level:
    """A selector to which all is the same."""

    name = "own/level"
    compares = False

    def scores(self, trials: Sequence[str], step: int) -> list[float]:
        return [0.5] * len(trials)


def test_what_another_study_has_trained_is_judged_for_every_arm_that_means_it(tmp_path: Path) -> None:
    asked = ask()
    both = [asked, dataclasses.replace(asked, arm="source only")]
    book = Ledger(Store(tmp_path), "question", ARMS, dict.fromkeys(ARMS, Level()))
    for each in both:
        book.ask(each)
    other = ledger(tmp_path, study="another")
    begin(other, asked)
    other.report(asked, report(10))
    other.close()
    assert book.take_up(asked, lambda: record(asked))
    assert [book.record(each).reports[0].metrics["own/level"] for each in both] == [0.5, 0.5]


def test_a_trial_of_two_arms_ends_for_each_by_itself_and_keeps_its_weights_for_the_other(tmp_path: Path) -> None:
    book, ear, asked = ledger(tmp_path), Ear(), ask()
    other = dataclasses.replace(asked, arm="source only")
    for each in (asked, other):
        book.ask(each)
    begin(book, asked)
    weights = tmp_path / "trials" / asked.trial.id / CHECKPOINT
    weights.touch()
    book.listeners.append(ear)
    book.report(asked, report(10))
    book.end(asked, STOPPED)
    assert weights.exists()
    book.report(other, report(20))
    book.end(other, COMPLETE)
    assert not weights.exists()
    assert ear.heard == [
        ("report", asked, 10),
        ("report", other, 10),
        ("end", asked, STOPPED),
        ("report", other, 20),
        ("end", other, COMPLETE),
    ]
    for known in (book, ledger(tmp_path)):
        assert [known.ended(each) for each in (asked, other)] == [STOPPED, COMPLETE]
        assert [known.record(each).step for each in (asked, other)] == [10, 20]


def test_the_last_ask_of_a_place_counts_and_what_is_derived_again_is_not_written(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    first, second = ask(), dataclasses.replace(ask(), trial=ask(number=5).trial)
    run(book, first)
    again = ledger(tmp_path)
    journal = (tmp_path / "question" / "journal.jsonl").read_bytes()
    ear = Ear()
    again.listeners.append(ear)
    with again.start_over():
        assert again.asks == []
        again.ask(first)
        again.end(first, COMPLETE)
    assert (tmp_path / "question" / "journal.jsonl").read_bytes() == journal
    assert ear.heard == []
    again.ask(second)
    assert again.asks == ledger(tmp_path).asks == [second]


def test_a_trial_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    """A real second process: a lock of one's own is no obstacle to oneself."""
    book, asked = ledger(tmp_path), ask()
    begin(book, asked)
    program = (
        "from pathlib import Path; from tests.records.test_ledger import *; "
        f"book = ledger(Path({str(tmp_path)!r}), study='another'); book.ask(ask()); "
        "print(book.take_up(ask(), lambda: record(ask())))"
    )

    def other() -> str:
        run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    assert other() == "False"
    ear = Ear()
    book.listeners.append(ear)
    book.wait(asked)
    book.wait(asked)
    assert ear.heard == [("wait", asked, 0)], "once is enough"
    book.listeners.clear()
    book.report(asked, report(10))
    book.end(asked, STOPPED)
    assert other() == "True"


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
    book.ask(asked)
    taken = book.take_up(asked, lambda: record(asked))
    assert taken == (event not in {"ask", "begin"})
    book.begin(asked)
    if event == "report":
        fail("trials")
    book.report(asked, report(10))
    if event == "end":
        fail("trials")
    book.end(asked, COMPLETE)
    assert isinstance(book.fault, StoreFault)
    told = {"ask": 0, "begin": 0, "report": 1, "end": 2}
    assert len(ear.heard) == told[event], "what is not on disk is not told"


def test_after_a_fault_nothing_more_is_written(tmp_path: Path) -> None:
    book, first, second = ledger(tmp_path), ask(number=0), ask(number=1)
    begin(book, first)
    shutil.move(tmp_path / "trials", tmp_path / "aside")
    (tmp_path / "trials").touch()
    book.report(first, report(10))
    fault = book.fault
    assert isinstance(fault, StoreFault)
    (tmp_path / "trials").unlink()
    shutil.move(tmp_path / "aside", tmp_path / "trials")
    book.report(first, report(20))
    book.ask(second)
    assert book.fault is fault, "the first fault is the one to tell"
    read = Store(tmp_path).read(first.trial.id)
    assert read is not None
    assert read.reports == (), "no report stands after a lost one"
    assert Store(tmp_path).journal("question").asks == (first,)


def test_claims_are_released_with_the_trial_and_with_the_study(tmp_path: Path) -> None:
    def handles() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = handles()
    book = ledger(tmp_path)
    for number in range(5):
        run(book, ask(number=number))
    assert handles() == before
    begin(book, ask(number=9))
    book.close()
    assert handles() == before


def test_ray_may_pickle_it(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    run(book, ask())
    assert len(pickle.dumps(book)) < 200, "records are not sent along"


def test_lost_workers_are_counted_over_all_runs_of_the_study(tmp_path: Path) -> None:
    book, asked, ear = ledger(tmp_path), ask(), Ear()
    book.listeners.append(ear)
    begin(book, asked)
    book.report(asked, report(10))
    book.lose(asked)
    book.close()
    again = ledger(tmp_path)
    assert again.take_up(asked, lambda: record(asked))
    again.lose(asked)
    assert again.records[asked.trial.id].losses == 2
    assert ledger(tmp_path).records[asked.trial.id].losses == 2
    assert ("lose", asked, 10) in ear.heard
