"""Starting over sets a study's results aside, whole, and leaves those of other studies alone."""

import dataclasses
from pathlib import Path

import pytest

from platform.records.archive import set_aside
from platform.records.ledger import Ledger
from platform.records.storage.storage import Storage
from platform.records.store import CHECKPOINT, JOURNAL, Store, journal_file, trial_file
from tests.support.invented_study import HEADER
from tests.support.ledgers import ARMS, ask, begin, report, run

BEGAN = "2026-11-22T19:40:05+00:00"


@dataclasses.dataclass(frozen=True)
class Inside:
    """What lies in a folder of a storage, for reading."""

    storage: Storage
    folder: str

    def read(self, name: str) -> bytes:
        return self.storage.read(f"{self.folder}/{name}")

    def names(self, folder: str) -> list[str]:
        return self.storage.names(f"{self.folder}/{folder}".rstrip("/"))


@pytest.fixture
def store(storage: Storage, tmp_path: Path) -> Store:
    return Store(tmp_path / "machine", storage)


def study(store: Store, name: str, *numbers: int) -> Ledger:
    """A study of finished trials."""
    book = Ledger(store, name, ARMS)
    book.announce(dataclasses.replace(HEADER, name=name, began=BEGAN))
    for number in numbers:
        run(book, ask(number=number))
        store.storage.write(trial_file(ask(number=number).trial.id, CHECKPOINT), b"weights")
    return book


def moved(store: Store) -> Store | None:
    """The store that a study is set aside to."""
    aside = set_aside(store, "question")
    if aside is None:
        return None
    inside = Inside(store.storage, aside.removeprefix(f"{store.storage}/"))
    return Store(store.folder / "aside", inside)  # type: ignore[arg-type]


def test_a_study_that_never_ran_has_nothing_to_set_aside(store: Store) -> None:
    assert moved(store) is None
    assert store.storage.names("") == []


def test_what_is_set_aside_is_a_store_of_its_own(store: Store) -> None:
    before = study(store, "question", 0, 1)
    store.storage.write("question/table.md", b"a table")
    aside = moved(store)
    assert aside is not None
    assert Ledger(aside, "question", ARMS).records == before.records
    assert aside.studies() == ["question"]
    assert aside.storage.read("question/table.md") == b"a table"
    assert aside.storage.read(trial_file(ask(number=1).trial.id, CHECKPOINT)) == b"weights"
    assert Ledger(store, "question", ARMS).asks == []
    assert store.studies() == []
    assert store.storage.names("trials") == []


def test_trials_of_other_studies_stay_and_are_copied(store: Store) -> None:
    study(store, "question", 0, 1)
    other = study(store, "other", 1, 2)
    aside = moved(store)
    assert aside is not None
    assert Ledger(store, "other", ARMS).records == other.records
    assert len(Ledger(aside, "question", ARMS).records) == 2
    assert set(store.storage.names("trials")) == {ask(number=number).trial.id for number in (1, 2)}


@pytest.mark.parametrize("trial", [0, 1])
def test_broken_off_halfway_it_goes_on(store: Store, trial: int) -> None:
    before = study(store, "question", 0, 1)
    first = moved(store)
    assert first is not None
    # As it stands when a process is killed between the first trial and the journal.
    torn, aside = ask(number=trial).trial.id, first.storage.folder  # type: ignore[attr-defined]
    for name in (f"trials/{torn}", journal_file("question")):
        store.storage.move(f"{aside}/{name}", name)
    again = moved(store)
    assert again is not None
    assert again.storage == first.storage
    assert Ledger(first, "question", ARMS).records == before.records
    assert JOURNAL not in store.storage.names("question")


def test_twice_gives_two_stores(store: Store) -> None:
    study(store, "question", 0)
    first = moved(store)
    book = Ledger(store, "question", ARMS)
    book.announce(dataclasses.replace(HEADER, name="question", began="2026-11-23T00:00:00+00:00"))
    begin(book, ask())
    book.report(ask(), report(10))
    second = moved(store)
    assert first is not None
    assert second is not None
    assert first.storage != second.storage
    assert Ledger(second, "question", ARMS).records[ask().trial.id].step == 10
    assert Ledger(first, "question", ARMS).records[ask().trial.id].step == 20


def test_of_one_beginning_each_has_its_own_place(store: Store) -> None:
    """A backup that was restored began when the one that was set aside did."""
    asides = []
    for number in range(3):
        study(store, "question", number)
        aside = moved(store)
        assert aside is not None
        asides.append((aside, ask(number=number)))
    assert len({str(aside.storage) for aside, _ in asides}) == 3
    for aside, asked in asides:
        assert Ledger(aside, "question", ARMS).asks == [asked], "nothing was overwritten"


@pytest.mark.parametrize("began", ["../../../elsewhere", "/etc", "a/b", "a\0b", "..", "x" * 99])
def test_what_a_record_says_chooses_no_place(store: Store, began: str) -> None:
    study(store, "question", 0)
    store.announce(dataclasses.replace(HEADER, name="question", began=began))
    aside = set_aside(store, "question")
    assert aside is not None
    assert "/" not in aside.removeprefix(f"{store.storage}/set-aside/")
    assert store.storage.names("set-aside") == [aside.rpartition("/")[2]]
