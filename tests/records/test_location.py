"""Where results lie, by the folder that a command is given."""

import uuid
from pathlib import Path

import pytest

from platform.records.location import on_record, recorded
from platform.records.storage.bucket import Bucket
from platform.records.store import Store
from tests.support.invented_study import study
from tests.support.s3_server import Server


def test_a_folder_of_results_and_that_of_a_study_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = study()
    Store(tmp_path).announce(header)
    (tmp_path / "trials").mkdir()
    monkeypatch.chdir(tmp_path / header.name)
    for folder in (tmp_path, tmp_path / header.name, Path(), Path("..")):
        store, names = recorded(str(folder))
        assert (store.folder, names) == (tmp_path, [header.name])


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=rf"got {folder}, which holds no journal\.jsonl; studies leave theirs"):
            recorded(str(folder))


def test_results_in_a_bucket_and_a_study_in_them(s3: Server, tmp_path: Path) -> None:
    header, (place, _, options) = study(), s3.uri(uuid.uuid4().hex).partition("?")
    Store(Path(), Bucket(f"{place}?{options}")).announce(header)
    for uri in (f"{place}?{options}", f"{place}/?{options}", f"{place}/{header.name}?{options}"):
        store, names = recorded(uri)
        assert (str(store.storage), names) == (place, [header.name])
        assert on_record(store, header.name)[0] == header
    (tmp_path / "table.md").write_text("a table")
    store.publish(header.name, [tmp_path / "table.md"])
    elsewhere = Store(tmp_path / "elsewhere", store.storage).published(header.name, {".md"})
    assert {path.name: path.read_text() for path in elsewhere.iterdir()} == {"table.md": "a table"}
    with pytest.raises(ValueError, match=rf"got {place}/nowhere, which holds no journal\.jsonl; studies leave theirs"):
        recorded(f"{place}/nowhere?{options}")
