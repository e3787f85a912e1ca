"""Files are whole or absent, lines are appended whole or not at all, whatever crashes and full disks do."""

import errno
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from platform.records.storage.files import PARTIAL, append_line, write_new, write_whole
from tests.support.small_disk import mounted

ROOM = 16384
"""Bytes that the full disks of these tests take: whole pages, since a tmpfs gives nothing less."""

FULL = "No space left|File too large"

Disk = Callable[[], AbstractContextManager[Path]]


def small_disk(folder: Path) -> AbstractContextManager[Path]:
    """A file system of its own that takes `ROOM` bytes."""
    return mounted(folder, ROOM)


@contextmanager
def small_quota(folder: Path) -> Iterator[Path]:
    """A folder in which no file may grow beyond `ROOM` bytes; needs no privilege."""
    folder.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=[small_disk, small_quota])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    """A disk that takes `ROOM` bytes."""
    return lambda: request.param(tmp_path / "disk")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> dict[int, bytes | list[str]]:
    """What a loss of power would leave, by inode: files and the names in folders, as they were when last synced."""
    left: dict[int, bytes | list[str]] = {}
    fsync = os.fsync

    def spy(file: int) -> None:
        fsync(file)
        path = Path(f"/proc/self/fd/{file}").readlink()
        left[os.fstat(file).st_ino] = (
            sorted(inside.name for inside in path.iterdir()) if path.is_dir() else path.read_bytes()
        )

    monkeypatch.setattr(os, "fsync", spy)
    return left


# Lines


def test_lines_are_appended_and_folders_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "lines"
    for line in (b"one", b"", b"three"):
        append_line(path, line)
    assert path.read_bytes() == b"one\n\nthree\n"


@pytest.mark.parametrize("before", [b"", b"one\n", b"one\ntwo\n", b"one\n\n"])
@pytest.mark.parametrize("torn", [b"t", b"torn", bytes(3), b"x" * 65535, b"x" * 65536, b"x" * 200_000])
def test_a_torn_line_is_cut_away_however_long_it_is(tmp_path: Path, before: bytes, torn: bytes) -> None:
    path = tmp_path / "lines"
    path.write_bytes(before + torn)
    append_line(path, b"next")
    assert path.read_bytes() == before + b"next\n"


def test_an_appended_line_is_on_the_disk_with_the_name_of_its_file(
    tmp_path: Path, synced: dict[int, bytes | list[str]]
) -> None:
    path = tmp_path / "lines"
    for content in (b"one\n", b"one\ntwo\n"):
        append_line(path, content.splitlines()[-1])
        assert synced[path.stat().st_ino] == content
        assert synced[tmp_path.stat().st_ino] == ["lines"]


@pytest.mark.parametrize("room", [1, 2, 100, 4096, 5000, ROOM])
def test_a_line_for_which_the_disk_has_no_room_leaves_the_file_as_it_was(disk: Disk, room: int) -> None:
    with disk() as folder:
        path = folder / "lines"
        before = b"x" * (ROOM - room - 1) + b"\n" if room < ROOM else b""
        path.write_bytes(before)
        with pytest.raises(OSError, match=FULL):
            append_line(path, b"y" * room)
        assert path.read_bytes() == before
        append_line(path, b"y" * (room - 1))
        assert path.read_bytes() == before + b"y" * (room - 1) + b"\n"


def test_a_torn_line_is_cut_away_though_there_is_no_room_for_the_next(disk: Disk) -> None:
    with disk() as folder:
        path = folder / "lines"
        path.write_bytes(b"whole\n" + b"torn" * 100)
        with pytest.raises(OSError, match=FULL):
            append_line(path, b"x" * ROOM)
        assert path.read_bytes() == b"whole\n"
        append_line(path, b"smaller")
        assert path.read_bytes() == b"whole\nsmaller\n"


def test_appending_goes_on_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        path, filler = folder / "lines", folder / "filler"
        append_line(path, b"one")
        filler.write_bytes(bytes(ROOM - 4096))
        with pytest.raises(OSError, match="No space left"):
            append_line(path, b"x" * 5000)
        filler.unlink()
        append_line(path, b"x" * 5000)
        assert path.read_bytes() == b"one\n" + b"x" * 5000 + b"\n"


# Whole files


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "table.md"
    for content in (b"long content\n", b"short", b""):
        assert write_whole(path, content) == path
        assert path.read_bytes() == content
        assert list(path.parent.iterdir()) == [path]


def test_a_written_file_is_on_the_disk_before_it_takes_its_name(
    tmp_path: Path, synced: dict[int, bytes | list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.md"
    replace = os.replace

    def spy(partial: Path, target: Path) -> None:
        assert synced[Path(partial).stat().st_ino] == b"content"
        replace(partial, target)

    monkeypatch.setattr(os, "replace", spy)
    write_whole(path, b"content")
    assert synced[tmp_path.stat().st_ino] == ["table.md"]


def test_a_reader_has_the_old_content_or_the_new(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "table.md", b"old")
    with path.open("rb") as reader:
        write_whole(path, b"new and longer")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new and longer"


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.with_name(f"table.md{PARTIAL}{os.getpid()}").write_bytes(b"left behind, and longer")
    write_whole(path, b"content")
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [ROOM + 1, 4 * ROOM])
def test_a_full_disk_keeps_the_old_file_and_no_part_of_the_new(disk: Disk, size: int) -> None:
    with disk() as folder:
        path = write_whole(folder / "table.md", b"old")
        with pytest.raises(OSError, match=FULL):
            write_whole(path, b"x" * size)
        assert path.read_bytes() == b"old"
        assert list(folder.iterdir()) == [path]
        write_whole(path, b"new")
        assert path.read_bytes() == b"new"


def test_a_name_that_a_folder_has_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "table.md" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "table.md", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["table.md"]


def test_a_new_file_appears_whole_and_one_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_new(path, b"first")
    write_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_hard_links(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a mounted Drive and a FAT disk."""

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    for content in (b"first", b"second"):
        write_new(tmp_path / "new", content)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"new": b"first"}


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_whose_folders_are_not_written_on_demand(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.fsync

    def sync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        whole(handle)

    monkeypatch.setattr(os, "fsync", sync)
    write_whole(tmp_path / "whole", b"content")
    append_line(tmp_path / "lines", b"line")
    assert (tmp_path / "whole").read_bytes() + (tmp_path / "lines").read_bytes() == b"contentline\n"
