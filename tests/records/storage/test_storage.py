"""What must hold of every storage, be it a folder or a bucket."""

import dataclasses
import pickle
import time
from pathlib import Path

import pytest

from platform.records.record import End
from platform.records.storage import storage as storages
from platform.records.storage.storage import Storage, leave_mark, sees
from platform.records.store import Store
from tests.support.invented_study import begun, full, study
from tests.support.patience import PATIENCE


def elsewhere(storage: Storage) -> Storage:
    """The same storage as another process has it: sent there, and without a memory."""
    sent: Storage = pickle.loads(pickle.dumps(storage))
    return sent


@pytest.mark.parametrize("content", [b"", b"\r\n\0\xff", b"weights" * 1_500_000], ids=["empty", "bytes", "10 MB"])
def test_a_file_is_what_was_written_last(storage: Storage, content: bytes) -> None:
    storage.write("trials/0a1b/checkpoint.pt", b"something longer than nothing")
    storage.write("trials/0a1b/checkpoint.pt", content)
    assert storage.read("trials/0a1b/checkpoint.pt") == content
    assert elsewhere(storage).read("trials/0a1b/checkpoint.pt") == content


def test_what_is_not_there(storage: Storage) -> None:
    for file in ("none", "trials/none/checkpoint.pt"):
        with pytest.raises(FileNotFoundError):
            storage.read(file)
        with pytest.raises(FileNotFoundError):
            storage.modified(file)
        storage.remove(file)
        assert not storage.shows(file)
    assert storage.names("") == storage.names("none") == storage.names("trials/none") == []
    storage.tidy("trials/none")


def test_a_removed_file_is_gone_and_its_neighbours_are_not(storage: Storage) -> None:
    for file in ("study/stop", "study/stopped", "study/log.txt"):
        storage.write(file, b"")
    storage.remove("study/stop")
    storage.remove("study/stop")
    assert storage.names("study") == ["log.txt", "stopped"]
    with pytest.raises(FileNotFoundError):
        storage.read("study/stop")


def test_lines_are_appended_by_one_process_after_another(storage: Storage) -> None:
    first, second, file = storage, elsewhere(storage), "trials/0a1b/record.jsonl"
    first.append(file, b"one")
    first.append(file, b"")
    second.append(file, b"two")
    first.append(file, b"three")
    second.append(file, b"four\xff")
    assert first.read(file) == second.read(file) == b"one\n\ntwo\nthree\nfour\xff\n"


def test_a_removed_file_begins_anew(storage: Storage) -> None:
    storage.append("study/journal.jsonl", b"one")
    storage.remove("study/journal.jsonl")
    storage.append("study/journal.jsonl", b"two")
    assert storage.read("study/journal.jsonl") == b"two\n"


def test_a_line_that_was_torn_off_is_cut_away_first(storage: Storage) -> None:
    storage.write("study/journal.jsonl", b"one\ntw")
    storage.append("study/journal.jsonl", b"two")
    storage.append("study/journal.jsonl", b"three")
    assert storage.read("study/journal.jsonl") == b"one\ntwo\nthree\n"


def test_names_are_those_of_files_and_folders_in_order(storage: Storage) -> None:
    for file in ("b/record.jsonl", "b/nested/deep", "b/checkpoint.pt", "a", "ba/other"):
        storage.write(file, b"")
    assert storage.names("") == ["a", "b", "ba"]
    assert storage.names("b") == ["checkpoint.pt", "nested", "record.jsonl"]
    assert elsewhere(storage).names("b/nested") == ["deep"]


def test_what_is_moved_is_there_and_nowhere_else(storage: Storage) -> None:
    for file in ("trials/0a/record.jsonl", "trials/0a/nested/deep", "trials/0ab/record.jsonl", "study/table.md"):
        storage.write(file, file.encode())
    storage.move("trials/0a", "set-aside/first/trials/0a")
    storage.move("study/table.md", "set-aside/first/study/table.md")
    assert storage.names("trials") == ["0ab"]
    assert storage.names("study") == []
    assert storage.read("set-aside/first/trials/0a/nested/deep") == b"trials/0a/nested/deep"
    assert storage.read("set-aside/first/study/table.md") == b"study/table.md"
    storage.append("trials/0a/record.jsonl", b"anew")
    assert storage.read("trials/0a/record.jsonl") == b"anew\n"


def test_a_folder_is_moved_over_what_an_earlier_try_left(storage: Storage) -> None:
    for file in ("trials/0a/record.jsonl", "trials/0a/checkpoint.pt", "aside/0a/record.jsonl", "aside/0a/claim"):
        storage.write(file, file.encode())
    storage.move("trials/0a", "aside/0a")
    assert storage.names("trials") == []
    assert storage.names("aside/0a") == ["checkpoint.pt", "claim", "record.jsonl"]
    assert storage.read("aside/0a/record.jsonl") == b"trials/0a/record.jsonl"


def test_a_copy_goes_over_what_is_there(storage: Storage) -> None:
    for file in ("trials/0a/record.jsonl", "trials/0a/nested/deep", "there/0a/record.jsonl", "there/0a/more"):
        storage.write(file, file.encode())
    storage.copy("trials/0a", "there/0a")
    assert storage.names("trials/0a") == ["nested", "record.jsonl"]
    assert storage.names("there/0a") == ["more", "nested", "record.jsonl"]
    assert storage.read("there/0a/record.jsonl") == b"trials/0a/record.jsonl"


def test_when_a_file_was_written(storage: Storage) -> None:
    before = time.time()
    storage.append("study/journal.jsonl", b"one")
    # Whole seconds is all that some storages know.
    assert before - 1 <= storage.modified("study/journal.jsonl") <= time.time() + 1


def test_a_sign_shows_to_others_in_a_moment(storage: Storage) -> None:
    other = elsewhere(storage)
    assert not other.shows("study/stop")
    storage.write("study/stop", b"")
    assert elsewhere(storage).shows("study/stop")
    deadline = time.monotonic() + PATIENCE
    while not other.shows("study/stop") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert other.shows("study/stop")
    storage.remove("study/stop")
    assert not elsewhere(storage).shows("study/stop")


def test_tidying_keeps_what_is_whole(storage: Storage) -> None:
    storage.write("trials/0a/checkpoint.pt", b"weights")
    storage.append("trials/0a/record.jsonl", b"one")
    storage.tidy("trials/0a")
    assert storage.names("trials/0a") == ["checkpoint.pt", "record.jsonl"]


def test_a_mark_is_seen_where_it_was_left(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    before, newest = leave_mark(storage, "study"), leave_mark(storage, "study")
    assert sees(elsewhere(storage), newest)
    monkeypatch.setattr(storages, "SIGHT_SECONDS", 0.0)
    assert not sees(elsewhere(storage), before), "of a driver before this one"
    storage.remove(newest.file)
    assert not sees(elsewhere(storage), newest)


def test_a_store_on_it_is_like_any_other(storage: Storage, tmp_path: Path) -> None:
    header = study()
    asks, records = full(header, dict.fromkeys((arm.name for arm in header.arms), 0.5))
    stores = Store(tmp_path / "local", storage), Store(tmp_path / "plain")
    for store in stores:
        store.announce(header)
        for asked in asks[:4]:
            trial, record = asked.trial.id, records[asked.trial.id]
            store.ask(header.name, asked)
            store.begin(begun(asked))
            for report in record.reports:
                store.report(trial, report)
            store.lose(header.name, trial, 200)
            assert record.end is not None
            store.end(trial, record.end)
            store.conclude(header.name, asked.key, record.end)
    there, plain = Store(tmp_path / "other machine", elsewhere(storage)), stores[1]
    assert there.studies() == plain.studies() == [header.name]
    assert there.journal(header.name) == plain.journal(header.name)
    for asked in asks[:4]:
        assert there.read(asked.trial.id) == plain.read(asked.trial.id) is not None
    assert there.read(asks[4].trial.id) is None
    assert there.damages == set()


def test_damages_are_named_as_a_user_names_the_storage(storage: Storage, tmp_path: Path) -> None:
    store, header = Store(tmp_path / "local", storage), study()
    store.announce(header)
    store.announce(dataclasses.replace(header, seeds=5))
    store.conclude(header.name, ("FDA", "0a1b"), End("complete", None, "", 400))
    journal = f"{header.name}/journal.jsonl"
    lines = storage.read(journal).splitlines(keepends=True)
    storage.write(journal, b"".join([lines[0], lines[1].replace(b'"seeds": 5', b'"seeds": 6'), lines[2][:-5]]))
    assert store.journal(header.name).header == header
    place = f"{storage}/{journal}"
    assert {str(damage) for damage in store.damages} == {f"{place} line 2 is damaged", f"{place} line 3 is cut off"}
    assert "?" not in place


def test_only_what_others_need_is_fetched_and_published(storage: Storage, tmp_path: Path) -> None:
    """A table is written on one machine, and a picture on another."""
    here = Store(tmp_path / "here", storage)
    table = here.study_folder("study") / "table.md"
    table.parent.mkdir(parents=True)
    table.write_text("a table")
    here.publish("study", [table])
    assert storage.read("study/table.md") == b"a table"
    storage.write("trials/0a1b/prediction.png", b"a picture")
    assert here.fetched("0a1b", "prediction.png").read_bytes() == b"a picture"
    assert not here.fetched("0a1b", "prediction.npz").exists()
