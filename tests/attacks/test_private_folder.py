"""A study's folder in /tmp: nobody foresees, reads or exchanges it, no cleaner empties it, and it does not stay."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from platform.commands.before.refusals import check_temporary
from platform.commands.exits import BadInput
from platform.records.provenance import ROOT
from platform.running.machine.private import KEPT, KEPT_SECONDS, OURS, private_folder
from tests.conftest import NOBODY

HOLDS = """
import sys
from pathlib import Path
from platform.running.machine.private import private_folder
with private_folder() as folder:
    (folder / "r").mkdir()
    (folder / "r" / "big").write_bytes(b"0" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may run something as another user")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, open to everybody as /tmp is."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    return folder


@contextmanager
def held() -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Another process's private folder."""
    command = [sys.executable, "-c", HOLDS]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_folder_of_ones_own_whatever_the_umask(place: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with private_folder() as folder:
            assert (folder.parent, mode(folder)) == (place, 0o700)
    finally:
        os.umask(before)
    assert list(place.iterdir()) == []


def test_two_at_a_time_leave_each_other_alone(place: Path) -> None:
    with private_folder() as one, private_folder() as other:
        assert one != other
        assert one.is_dir()
    assert list(place.iterdir()) == []


def test_what_a_killed_driver_left_goes_at_the_next_start(place: Path) -> None:
    with held() as (process, folder):
        with private_folder():
            assert folder.is_dir(), "its driver runs"
        process.send_signal(signal.SIGKILL)
    assert (folder / OURS).read_text() == f"{process.pid}\n"
    with private_folder() as mine:
        assert list(place.iterdir()) == [mine]


@as_root
def test_another_users_folder_and_one_that_only_looks_like_ours_stay(place: Path) -> None:
    for name in ("study-abcdefgh", "study-12345678", "study-short"):
        (place / name).mkdir(mode=0o700)
    (place / "study-abcdefgh" / OURS).write_text("1\n")
    os.chown(place / "study-abcdefgh", NOBODY, NOBODY)
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / OURS).write_text("1\n")
    (place / "study-________").symlink_to(place / "elsewhere")
    with private_folder():
        pass
    assert (place / "elsewhere" / OURS).is_file()
    assert len(list(place.iterdir())) == 5


@pytest.mark.parametrize("age", [0.0, KEPT_SECONDS + 60], ids=["new", "old"])
def test_after_an_error_the_logs_stay_for_a_day_and_nothing_else(place: Path, age: float) -> None:
    with suppress(ZeroDivisionError), private_folder(kept="r/session_[0-9]*/logs") as folder:
        session = folder / "r" / "session_2026"
        (session / "logs" / "old").mkdir(parents=True)
        (session / "sockets").mkdir()
        (folder / "r" / "session_latest").symlink_to(session)
        (session / "logs" / "raylet.err").write_text("no memory")
        (folder / "token").write_text("secret")
        os.utime(folder / OURS, (1, 1))
        raise ZeroDivisionError
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink()}
    assert left == {"kept", "r/session_2026/logs/raylet.err"}
    assert not (session / "sockets").exists()
    assert mode(folder) == 0o700
    assert (folder / KEPT).stat().st_mtime > time.time() - 60, "from the error on, however long the study ran"
    os.utime(folder / KEPT, (time.time() - age,) * 2)
    with private_folder():
        assert folder.exists() == (age == 0.0)


@pytest.mark.parametrize("kept", ["", "r/*/logs"])
def test_that_it_was_deleted_hides_no_error(place: Path, kept: str) -> None:
    with private_folder(kept=kept) as folder:
        shutil.rmtree(folder)
    with suppress(ZeroDivisionError), private_folder(kept=kept) as folder:
        shutil.rmtree(folder)
        raise ZeroDivisionError


def test_who_starts_at_the_same_time_and_looks_at_it_does_not_keep_it_from_being_held(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tempfile.mkdtemp

    def looked_at(prefix: str, dir: Path) -> str:
        folder = make(prefix=prefix, dir=dir)
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        threading.Timer(0.5, os.close, [descriptor]).start()
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", looked_at)
    with private_folder() as folder:
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="there is no cleaner of /tmp here")
def test_a_cleaner_of_tmp_leaves_it_alone(place: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.conf"
    rules.write_text(f"d {place} 1777 root root m:0\n")
    (place / "unlocked").mkdir()
    (place / "unlocked" / "file").write_text("old")
    with private_folder() as folder:
        (folder / "socket").write_text("old")
        subprocess.run(["systemd-tmpfiles", "--clean", str(rules)], check=False, capture_output=True)
        assert (folder / "socket").is_file()
    if (place / "unlocked" / "file").exists():
        pytest.skip("the cleaner does not work here")


@pytest.mark.parametrize("owner", [None, pytest.param(NOBODY, marks=as_root)], ids=["everybody's", "another's"])
@pytest.mark.parametrize("depth", [0, 1], ids=["itself", "above"])
def test_a_place_where_others_could_exchange_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int | None, depth: int
) -> None:
    """A lab's /scratch without the sticky bit; or /tmp/$USER, which somebody else made first."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    if owner is None:
        folder.chmod(0o777)
    else:
        os.chown(folder, owner, owner)
    monkeypatch.setenv("RAY_TMPDIR", str(folder.joinpath(*["below"] * depth)))
    with pytest.raises(BadInput, match=rf"got {re.escape(str(folder))}, which .*; have RAY_TMPDIR name a folder"):
        check_temporary()


def test_links_to_the_place_are_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "link"))
    with pytest.raises(BadInput, match="everybody"):
        check_temporary()


@as_root
def test_another_user_finds_nothing_in_it(place: Path, unprivileged: Callable[[Path], None]) -> None:
    with private_folder() as folder:
        (folder / "token").write_text("secret")
        unprivileged(place)
        for attempt in (lambda: list(folder.iterdir()), lambda: (folder / "token").read_text(), folder.rmdir):
            with pytest.raises(PermissionError):
                attempt()
        with pytest.raises(PermissionError):
            folder.rename(place / "taken")
        os.seteuid(0)
