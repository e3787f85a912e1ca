"""Starting over sets a study's results aside, whole, and leaves those of other studies alone."""

import dataclasses
from pathlib import Path

import pytest

from platform.archive import set_aside
from platform.ledger import Ledger
from platform.records import CHECKPOINT, Store
from tests.invented_study import HEADER
from tests.test_ledger import ARMS, ask, begin, report, run

BEGAN = "2026-11-22T19:40:05+00:00"


def study(folder: Path, name: str, *numbers: int) -> Ledger:
    """A study of finished trials."""
    book = Ledger(Store(folder), name, ARMS)
    book.announce(dataclasses.replace(HEADER, name=name, began=BEGAN))
    for number in numbers:
        run(book, ask(number=number))
        (book.store.trial_folder(ask(number=number).trial.id) / CHECKPOINT).touch()
    return book


def test_a_study_that_never_ran_has_nothing_to_set_aside(tmp_path: Path) -> None:
    assert set_aside(Store(tmp_path), "question") is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_set_aside_is_a_store_of_its_own(tmp_path: Path) -> None:
    before = study(tmp_path, "question", 0, 1)
    (tmp_path / "question" / "table.md").write_text("a table")
    aside = set_aside(Store(tmp_path), "question")
    assert aside is not None
    assert Ledger(Store(aside), "question", ARMS).records == before.records
    assert Store(aside).studies() == ["question"]
    assert (aside / "question" / "table.md").read_text() == "a table"
    assert (aside / "trials" / ask(number=1).trial.id / CHECKPOINT).exists()
    assert Ledger(Store(tmp_path), "question", ARMS).asks == []
    assert Store(tmp_path).studies() == []
    assert not list((tmp_path / "trials").iterdir())


def test_trials_of_other_studies_stay_and_are_copied(tmp_path: Path) -> None:
    study(tmp_path, "question", 0, 1)
    other = study(tmp_path, "other", 1, 2)
    aside = set_aside(Store(tmp_path), "question")
    assert aside is not None
    assert Ledger(Store(tmp_path), "other", ARMS).records == other.records
    assert len(Ledger(Store(aside), "question", ARMS).records) == 2
    assert not (tmp_path / "trials" / ask(number=0).trial.id).exists()


@pytest.mark.parametrize("trial", [0, 1])
def test_broken_off_halfway_it_goes_on(tmp_path: Path, trial: int) -> None:
    before = study(tmp_path, "question", 0, 1)
    first = set_aside(Store(tmp_path), "question")
    assert first is not None
    # As it stands when a process is killed between the first trial and the journal.
    moved = ask(number=trial).trial.id
    (first / "trials" / moved).rename(tmp_path / "trials" / moved)
    (first / "question" / "journal.jsonl").rename(tmp_path / "question" / "journal.jsonl")
    assert set_aside(Store(tmp_path), "question") == first
    assert Ledger(Store(first), "question", ARMS).records == before.records


def test_twice_gives_two_stores(tmp_path: Path) -> None:
    study(tmp_path, "question", 0)
    first = set_aside(Store(tmp_path), "question")
    book = Ledger(Store(tmp_path), "question", ARMS)
    book.announce(dataclasses.replace(HEADER, name="question", began="2026-11-23T00:00:00+00:00"))
    begin(book, ask())
    book.report(ask(), report(10))
    second = set_aside(Store(tmp_path), "question")
    assert first is not None
    assert second is not None
    assert first != second
    assert Ledger(Store(second), "question", ARMS).records[ask().trial.id].step == 10
