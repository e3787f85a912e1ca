"""Files are known by what they hold: read once, again after every change, and never for another place or date."""

import hashlib
import logging
import os
import shutil
from pathlib import Path

import pytest

from platform.shifts.files import content
from platform.shifts.files.content import digests
from platform.shifts.shift import cache_folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three files that are as old as data are."""
    monkeypatch.setattr(content, "SETTLED_SECONDS", -60.0)
    monkeypatch.setattr(content, "MANY", 1)
    (tmp_path / "data").mkdir()
    paths = [tmp_path / "data" / name for name in ("a", "b", os.fsdecode(b"caf\xe9"))]
    for path in paths:
        path.write_bytes(os.fsencode(path.name) * 100)
    return paths


def read_again(paths: list[Path], caplog: pytest.LogCaptureFixture) -> int:
    """How many files the next call reads."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        digests(paths[0].parent, paths)
    (number,) = [int(message.split()[1]) for message in caplog.messages] or [0]
    return number


def test_digests_are_those_of_the_contents(files: list[Path]) -> None:
    expected = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    assert digests(files[0].parent, files) == expected
    assert digests(files[0].parent, files[::-1]) == expected[::-1]


def test_files_are_read_once(files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    assert read_again(files, caplog) == 3
    assert read_again(files, caplog) == 0


def test_a_change_that_keeps_size_and_date_is_seen(files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    before = digests(files[0].parent, files)
    status = files[1].stat()
    files[1].write_bytes(b"c" * status.st_size)
    os.utime(files[1], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read_again(files, caplog) == 1
    assert digests(files[0].parent, files) != before


def test_a_copy_is_the_same_data(files: list[Path], tmp_path: Path) -> None:
    copied = shutil.copytree(files[0].parent, tmp_path / "copy")
    assert digests(copied, [copied / path.name for path in files]) == digests(files[0].parent, files)


def test_what_changed_just_now_is_read_again(
    files: list[Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "SETTLED_SECONDS", 3600.0)
    assert [read_again(files, caplog) for _ in range(2)] == [3, 3]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": [1]}', b"\xff"])
def test_a_damaged_list_of_what_is_known_is_made_anew(
    files: list[Path], caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    expected = digests(files[0].parent, files)
    (kept,) = cache_folder().glob("contents-*.json")
    kept.write_bytes(damage)
    assert digests(files[0].parent, files) == expected
    assert read_again(files, caplog) == 0


def test_without_a_cache_the_files_are_read(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert len(digests(files[0].parent, files)) == 3


def test_a_file_that_cannot_be_read_is_named(files: list[Path]) -> None:
    files[1].unlink()
    with pytest.raises(ValueError, match=r"data/b cannot be read: No such file or directory; replace"):
        digests(files[0].parent, files)
