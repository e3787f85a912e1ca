"""Signals to a process that trains: the first stops it in order, the second at once."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from platform.records.provenance import ROOT
from platform.records.storage.storage import Folder, Storage
from platform.running.interruption import HUNG, SIGNALS, Interruption
from tests.support.patience import PATIENCE

LISTENER = """
import subprocess, sys, time
from pathlib import Path
from platform.running.interruption import Interruption
from platform.records.storage.storage import Folder
sign = Path(sys.argv[1])
interruption = Interruption(Folder(sign.parent), sign.name)
interruption.say = lambda text: print(text, flush=True)
with interruption.listening():
    with interruption.shielded_children():
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print(child.pid, flush=True)
    while interruption.signal is None:
        time.sleep(0.01)
    print(interruption.signal, interruption.code, Path(sign.parent, interruption.sign).exists(), flush=True)
    time.sleep(1000)
"""

HANGS = LISTENER.replace(
    "while interruption.signal is None:",
    "import hashlib; hashlib.pbkdf2_hmac('sha256', b'a call', b'that nothing interrupts', 2**31 - 1)\n    while True:",
)


class Listener:
    """A real process that listens, with a child of its own."""

    def __init__(self, sign: Path, *before: str, program: str = LISTENER) -> None:
        command = [*before, sys.executable, "-c", program, str(sign)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.child = psutil.Process(int(self.line()))

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        for process in (self.child, self.process):
            if process.poll() is None if isinstance(process, subprocess.Popen) else process.is_running():
                process.kill()
        self.process.wait()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_the_first_signal_stops_and_the_second_leaves_at_once(tmp_path: Path, number: int, code: int) -> None:
    listener = Listener(tmp_path / "stop")
    try:
        listener.process.send_signal(number)
        assert listener.line() == "stopping after the current step; once more to leave at once"
        assert listener.line() == f"{int(number)} {code} True"
        listener.process.send_signal(number)
        assert listener.process.wait(timeout=PATIENCE) == code
        _, alive = psutil.wait_procs([listener.child], timeout=PATIENCE)
        assert not alive
    finally:
        listener.end()


def test_a_full_disk_does_not_keep_a_study_from_stopping(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    listener = Listener(folder / "stop")
    folder.rmdir()
    folder.touch()
    try:
        listener.process.send_signal(signal.SIGINT)
        assert listener.line() == "stopping after the current step; once more to leave at once"
        assert listener.line() == "2 130 False"
    finally:
        listener.end()


def test_under_nohup_the_end_of_the_terminal_is_ignored(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "stop", "nohup")
    try:
        listener.process.send_signal(signal.SIGHUP)
        listener.process.send_signal(signal.SIGTERM)
        assert listener.line() == "stopping after the current step; once more to leave at once"
        assert listener.line() == "15 143 True", "SIGHUP came first and was ignored"
    finally:
        listener.end()


def test_children_outlive_the_end_of_the_terminal(tmp_path: Path) -> None:
    """A terminal sends SIGHUP to all that it started: without Ray's daemons no trial could stop in order."""
    listener = Listener(tmp_path / "stop")
    try:
        listener.child.send_signal(signal.SIGHUP)
        listener.child.send_signal(signal.SIGCONT)
        with pytest.raises(psutil.TimeoutExpired):
            listener.child.wait(timeout=0.5)
    finally:
        listener.end()


def test_afterwards_signals_do_what_they_did_and_the_sign_is_gone(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    interruption = Interruption(Folder(tmp_path), "stop")
    said: list[str] = []
    interruption.say = said.append
    with interruption.listening():
        signal.raise_signal(signal.SIGTERM)
        assert (tmp_path / interruption.sign).exists()
    assert {number: signal.getsignal(number) for number in SIGNALS} == before
    assert list(tmp_path.iterdir()) == []
    assert (interruption.signal, len(said)) == (signal.SIGTERM, 1)


@pytest.mark.parametrize("name", ["stop", "stop-0123456789abcdef", "stop-"])
def test_the_sign_of_another_run_stops_nothing_and_is_removed(storage: Storage, name: str) -> None:
    storage.write(f"study/{name}", b"")
    storage.write("study/stopped.txt", b"kept")
    interruption = Interruption(storage, "study/stop")
    assert storage.names("study") == ["stopped.txt"]
    with interruption.listening():
        storage.write(f"study/{name}", b"")
        assert not storage.shows(interruption.sign)
    assert storage.names("study") == ["stopped.txt"]


def test_no_two_runs_have_the_same_sign(tmp_path: Path) -> None:
    """A network file system may show for a while that the first one's is there."""
    assert Interruption(Folder(tmp_path), "stop").sign != Interruption(Folder(tmp_path), "stop").sign


def test_two_signals_end_a_process_whose_main_thread_hangs(tmp_path: Path) -> None:
    """Python runs a handler only between two of its own steps, of which a call on a dead mount has none."""
    listener = Listener(tmp_path / "stop", program=HANGS)
    try:
        listener.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            listener.process.wait(timeout=3)
        listener.process.send_signal(signal.SIGINT)
        assert listener.process.wait(timeout=PATIENCE) in (130, 143)
        _, alive = psutil.wait_procs([listener.child], timeout=PATIENCE)
        assert not alive
    finally:
        listener.end()


def test_one_signal_ends_a_process_whose_main_thread_hangs_for_long(tmp_path: Path) -> None:
    soon = "from platform.running import interruption as module\nmodule.HUNG_SECONDS = 2.0\ninterruption = "
    listener = Listener(tmp_path / "stop", program=HANGS.replace("interruption = ", soon, 1))
    try:
        listener.process.send_signal(signal.SIGINT)
        assert listener.process.wait(timeout=PATIENCE) == 3
        assert listener.process.stdout is not None
        assert listener.process.stdout.read().splitlines()[-1] == HUNG
        _, alive = psutil.wait_procs([listener.child], timeout=PATIENCE)
        assert not alive
    finally:
        listener.end()
