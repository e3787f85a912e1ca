"""Where results lie, by the folder that a command is given."""

from pathlib import Path

import pytest

from platform.records.location import recorded
from platform.records.store import Store
from tests.support.invented_study import study


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
