"""One process per study and per trial, and no child of a killed one."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from platform.records.provenance import ROOT
from platform.records.storage.locks import AlreadyRunning, NoLocks, lock_trial, study_lock
from platform.records.storage.tokens import STUDY_LOCK
from tests.support.patience import PATIENCE

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from platform.records.storage.locks import study_lock
with study_lock(Path(sys.argv[1])) as lock:
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    lock.note_descendants()
    print(child.pid, flush=True)
    time.sleep(1000)
"""


def hold(folder: Path) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A process that holds a folder, and the child that it started."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    return holder, psutil.Process(int(holder.stdout.readline()))


def test_a_second_process_is_refused_by_the_first_ones_pid_and_host(tmp_path: Path) -> None:
    holder, child = hold(tmp_path)
    try:
        with (
            pytest.raises(AlreadyRunning, match=f"process {holder.pid} on {socket.gethostname()}"),
            study_lock(tmp_path),
        ):
            pass
        assert child.is_running(), "the child of a holder that lives is left alone"
    finally:
        child.kill()
        holder.kill()
        holder.wait()


def test_what_a_killed_holder_started_is_ended(tmp_path: Path) -> None:
    holder, child = hold(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert child.status() != psutil.STATUS_ZOMBIE
    with study_lock(tmp_path):
        gone_by = time.monotonic() + PATIENCE
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < gone_by
            time.sleep(0.01)


@pytest.mark.parametrize(
    "holder",
    [
        {"pid": 1, "host": "another machine", "started": [[os.getpid(), psutil.Process().create_time()]]},
        {"pid": 1, "host": socket.gethostname(), "started": [[os.getpid(), 1.5]]},
        {"pid": 1, "host": socket.gethostname(), "started": [[2**22 + 1, 1.5]]},
    ],
    ids=["another machine", "a pid that came back", "a process that is gone"],
)
def test_nobody_elses_process_is_ended(tmp_path: Path, holder: dict[str, object]) -> None:
    (tmp_path / STUDY_LOCK).write_text(json.dumps(holder))
    with study_lock(tmp_path):
        assert json.loads((tmp_path / STUDY_LOCK).read_text())["pid"] == os.getpid()
    assert psutil.Process().is_running()
    assert (tmp_path / STUDY_LOCK).read_bytes() == b""


def test_a_trial_is_held_once_until_its_handle_is_closed(tmp_path: Path) -> None:
    handle = lock_trial(tmp_path / "0123ab")
    assert handle is not None
    assert lock_trial(tmp_path / "0123ab") is None
    other = lock_trial(tmp_path / "another")
    assert other is not None
    os.close(handle)
    again = lock_trial(tmp_path / "0123ab")
    assert again is not None
    for each in (other, again):
        os.close(each)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        lock_trial(tmp_path / "file" / "0123ab")


@pytest.mark.parametrize("content", ["", "{", "nonsense"])
def test_an_unreadable_note_is_no_obstacle(tmp_path: Path, content: str) -> None:
    (tmp_path / STUDY_LOCK).write_text(content)
    with study_lock(tmp_path):
        assert json.loads((tmp_path / STUDY_LOCK).read_text())["pid"] == os.getpid()
    assert (tmp_path / STUDY_LOCK).read_text() == ""


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EPERM])
def test_a_file_system_without_locks_is_named(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some mounted Drives and network disks."""

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(NoLocks, match=f"got {tmp_path}: {os.strerror(code)}; take a folder"), study_lock(tmp_path):
        pass
