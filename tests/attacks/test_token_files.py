"""Token files that somebody forged, copied or planted: nothing is followed, overwritten, waited for or killed."""

import itertools
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from platform.commands.exits import MACHINE_FAILED, ending
from platform.commands.terminal.log import quiet
from platform.records.provenance import ROOT
from platform.records.storage.files import NotPlain, append_line, write_whole
from platform.records.storage.locks import RUN_VARIABLE, AlreadyRunning, lock_trial, study_lock
from platform.records.storage.storage import Folder
from platform.records.storage.tokens import CLAIM, STUDY_LOCK, TRIAL_LOCK
from tests.conftest import NOBODY
from tests.support.patience import PATIENCE

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from platform.records.storage.locks import study_lock
with study_lock(Path(sys.argv[1])) as lock:
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    bare = subprocess.Popen(["sleep", "1000"], start_new_session=True, env={})
    lock.note_descendants()
    print(child.pid, bare.pid, flush=True)
    time.sleep(1000)
"""
VICTIM = "not a token\n"


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process, psutil.Process]]:
    """A process that holds `study`, and two that it started: one marked, one whose environment was emptied."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "study")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    child, bare = (psutil.Process(int(pid)) for pid in holder.stdout.readline().split())
    yield holder, child, bare
    for process in (holder, child, bare):
        process.kill()
    holder.wait()


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def kill(holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()


def dies(process: psutil.Process) -> bool:
    deadline = time.monotonic() + PATIENCE
    while lives(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not lives(process)


def planted(path: Path, what: str, victim: Path) -> None:
    """Something in a file's place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    victim.write_text(VICTIM)
    match what:
        case "link":
            path.symlink_to(victim)
        case "link to nowhere":
            path.symlink_to(victim.with_name("made"))
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


kinds = pytest.mark.parametrize(
    "what",
    [
        "link",
        "link to nowhere",
        "pipe",
        pytest.param("device", marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")),
    ],
)


@kinds
@pytest.mark.parametrize(
    "use",
    [
        lambda folder: study_lock(folder / "s").__enter__(),
        lambda folder: lock_trial(folder / "t"),
        lambda folder: Folder(folder).read(f"t/{CLAIM}"),
        lambda folder: append_line(folder / "t/record.jsonl", b"{}"),
        lambda folder: Folder(folder).read("t/record.jsonl"),
    ],
    ids=["running", "lock", "claim", "append", "read"],
)
def test_what_is_no_plain_file_is_neither_followed_nor_waited_for(
    tmp_path: Path, what: str, use: Callable[[Path], object]
) -> None:
    for name in (f"s/{STUDY_LOCK}", f"t/{TRIAL_LOCK}", f"t/{CLAIM}", "t/record.jsonl"):
        planted(tmp_path / name, what, tmp_path / "victim")
    with pytest.raises(NotPlain, match=r"must be a plain file, got a .*; move it away"):
        use(tmp_path)
    assert (tmp_path / "victim").read_text() == VICTIM
    assert not (tmp_path / "made").exists()


def test_what_is_no_plain_file_is_one_line_and_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @ending()
    def command() -> int:
        with study_lock(tmp_path):
            return 0

    planted(tmp_path / STUDY_LOCK, "link", tmp_path / "victim")
    assert command() == 2
    said = capsys.readouterr().err
    assert said == f"error: {tmp_path}/{STUDY_LOCK} must be a plain file, got a link; move it away\n"


def test_another_name_of_somebodys_file_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text(VICTIM)
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / STUDY_LOCK).hardlink_to(tmp_path / "victim")
    with pytest.raises(NotPlain, match="got a second name of another file"), study_lock(tmp_path / "s"):
        pass
    assert (tmp_path / "victim").read_text() == VICTIM


def test_the_log_is_not_written_through_a_link_nor_waited_for(tmp_path: Path) -> None:
    for name, what in (("log.txt", "link"), ("other.txt", "pipe")):
        planted(tmp_path / name, what, tmp_path / "victim")
        with quiet(tmp_path / name):
            os.write(1, b"said by a library\n")
    assert (tmp_path / "victim").read_text() == VICTIM


def test_a_planted_temporary_file_is_not_written_through(tmp_path: Path) -> None:
    """Its name had nothing but the process id that others cannot know ahead."""
    for name in (f"table.md.partial-{os.getpid()}", f"{CLAIM}.partial-{os.getpid()}"):
        planted(tmp_path / name, "link", tmp_path / "victim")
    for name in ("table.md", CLAIM):
        write_whole(tmp_path / name, b"ours")
        assert (tmp_path / name).read_bytes() == b"ours"
    assert (tmp_path / "victim").read_text() == VICTIM


def test_writing_replaces_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    planted(tmp_path / "table.md", "link", tmp_path / "victim")
    write_whole(tmp_path / "table.md", b"ours")
    assert not (tmp_path / "table.md").is_symlink()
    assert (tmp_path / "victim").read_text() == VICTIM


def test_others_cannot_write_what_is_written_whatever_the_mask_allows(tmp_path: Path) -> None:
    @ending()
    def command() -> int:
        with study_lock(tmp_path / "a/study"):
            write_whole(tmp_path / "a/b/table.md", b"ours")
            append_line(tmp_path / "a/c/record.jsonl", b"{}")
        return 0

    mask = os.umask(0)
    try:
        assert command() == 0
    finally:
        os.umask(mask)
    found = [path for path in (tmp_path / "a").rglob("*") if path.stat().st_mode & stat.S_IWOTH]
    assert found == []


def test_what_a_killed_holder_started_is_ended_by_its_mark_alone(
    tmp_path: Path, held: tuple[subprocess.Popen[str], psutil.Process, psutil.Process]
) -> None:
    holder, child, bare = held
    kill(holder)
    with study_lock(tmp_path / "study"):
        assert dies(child)
    assert lives(bare), "the file alone kills nothing"


def test_a_copied_lock_file_kills_nothing(
    tmp_path: Path, held: tuple[subprocess.Popen[str], psutil.Process, psutil.Process]
) -> None:
    """Of a study that runs: its processes bear the very mark that the copy names."""
    _, child, bare = held
    shutil.copytree(tmp_path / "study", tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / STUDY_LOCK).read_text())["started"]
    with study_lock(tmp_path / "copy"):
        pass
    assert lives(child)
    assert lives(bare)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes of others")
def test_another_users_process_is_not_killed(tmp_path: Path) -> None:
    (tmp_path / STUDY_LOCK).touch()
    status = (tmp_path / STUDY_LOCK).stat()
    run = f"{'0' * 32}:{status.st_dev}:{status.st_ino}"
    others = subprocess.Popen(["sleep", "1000"], user=NOBODY, env={RUN_VARIABLE: run})
    try:
        process = psutil.Process(others.pid)
        forge(tmp_path / STUDY_LOCK, run=run, started=[[process.pid, process.create_time()]])
        with study_lock(tmp_path):
            pass
        assert lives(process)
    finally:
        others.kill()
        others.wait()


def forge(file: Path, **changes: Any) -> None:
    """Write a note of another holder into a lock file, with its right place."""
    file.touch()
    run = f"{'0' * 32}:{file.stat().st_dev}:{file.stat().st_ino}"
    note = {"pid": 2, "host": os.uname().nodename, "run": run, "started": [], **changes}
    file.write_text(json.dumps({name: value for name, value in note.items() if value is not None}))


ME = [os.getpid(), psutil.Process().create_time()]
INIT = [1, psutil.Process(1).create_time()]


@pytest.mark.parametrize(
    "changes",
    [
        {"started": [ME]},
        {"started": [INIT]},
        {"started": [[-1, 1.0]]},
        {"started": [[0, 1.0]]},
        {"started": [[2**70, 1.0]]},
        {"started": [["1", 1.0]]},
        {"started": [[True, 1.0]]},
        {"started": {"1": 1.0}},
        {"started": "all"},
        {"started": None},
        {"started": [[*ME, 0]]},
        {"run": None},
        {"run": "", "started": [ME]},
        {"run": 5},
        {"run": "../../x:1:1"},
        {"pid": "1"},
        {"pid": None},
        {"host": None},
        {"host": ["a"]},
        {"more": 1, "started": [ME]},
    ],
    ids=itertools.count(),
)
def test_a_forged_note_kills_nothing_and_is_no_obstacle(tmp_path: Path, changes: dict[str, Any]) -> None:
    forge(tmp_path / STUDY_LOCK, **changes)
    with study_lock(tmp_path):
        assert json.loads((tmp_path / STUDY_LOCK).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"pid":' * 50_000, "[]", "1", "null", '"running"', "\ud800"], ids=itertools.count()
)
def test_a_note_that_is_none_is_no_obstacle(tmp_path: Path, content: str) -> None:
    (tmp_path / STUDY_LOCK).write_text(content, errors="surrogatepass")
    with study_lock(tmp_path):
        pass


def test_who_runs_a_study_is_said_as_it_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @ending(AlreadyRunning)
    def command() -> int:
        with study_lock(tmp_path):
            return 0

    with study_lock(tmp_path):
        forge(tmp_path / STUDY_LOCK, host="\x1b]0;title\x07")
        assert command() == 2
    assert "\x1b" not in capsys.readouterr().err


def test_a_sparse_note_of_many_gigabytes_is_read_in_part(tmp_path: Path) -> None:
    with (tmp_path / STUDY_LOCK).open("wb") as file:
        file.truncate(100 << 30)
    with study_lock(tmp_path):
        pass


def test_a_record_of_a_hundred_gigabytes_is_named_and_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @ending()
    def command() -> int:
        return len(Folder(tmp_path).read("t/record.jsonl")) or MACHINE_FAILED

    (tmp_path / "t").mkdir()
    with (tmp_path / "t/record.jsonl").open("wb") as file:
        file.truncate(100 << 30)
    assert command() == 2
    assert "record.jsonl must have at most 268,435,456 bytes, got 107,374,182,400; move it" in capsys.readouterr().err
