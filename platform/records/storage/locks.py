"""Locks, which end with their process: one driver per study, which ends what a killed one left, and one per trial.

A driver writes down what it started; but the file may be a copy of another study's, or anybody's. So what it started
bears a mark in its environment as well, which names the very file, and only what bears it is ended.
"""

import errno
import fcntl
import json
import os
import re
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from platform.records.storage.files import NotPlain, plainly
from platform.records.storage.tokens import STUDY_LOCK, TRIAL_LOCK

RUN_VARIABLE = "PLATFORM_RUN"
"""The environment variable that marks what a driver starts: a number of its own, and its lock file's device and inode.

A copy of the file is another file, and its mark is on no process."""
LONGEST_NOTE = 1 << 20
"""Bytes of a lock file that are read; a process takes thirty."""


class AlreadyRunning(Exception):
    """Another process holds the study; the message says which."""


class NoLocks(ValueError):
    """A folder on whose file system files cannot be locked."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"results must lie where files can be locked, or two commands could train one trial, got {folder}: "
            f"{error.strerror}; take a folder of this machine's own disk, and copy it afterwards"
        )


class Holder(NamedTuple):
    """What the holder of a study's lock wrote of itself, and of what it started: process ids and starting times."""

    pid: int
    host: str
    run: str
    started: Sequence[tuple[int, float]]


class StudyLock:
    """The lock on a study's folder, held by this process."""

    def __init__(self, file: FileIO, run: str) -> None:
        self._file = file
        self._run = run
        self.note_descendants()

    def note_descendants(self) -> None:
        """Write down this process and all it started, so that the next one can end what a SIGKILL leaves running.

        Raises OSError.
        """
        # Here, because most commands take no lock.
        import psutil

        started = [(child.pid, child.create_time()) for child in psutil.Process().children(recursive=True)]
        content = json.dumps(Holder(os.getpid(), socket.gethostname(), self._run, started)._asdict()).encode()
        self._file.truncate(0)
        try:
            whole = self._file.write(content) == len(content)
        except OSError as error:
            error.filename = self._file.name
            raise
        if not whole:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)


@contextmanager
def study_lock(folder: Path) -> Iterator[StudyLock]:
    """Hold a study's folder, and end the processes that a killed holder left.

    Raises AlreadyRunning, NoLocks and OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Unbuffered: what a full disk does not take must not be tried again when the file is closed.
    with open(folder / STUDY_LOCK, "a+b", buffering=0, opener=plainly) as file:
        holder = _read(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            who = f"process {holder.pid} on {holder.host}" if holder else "process ? on ?"
            raise AlreadyRunning(who) from error
        except OSError as error:
            raise NoLocks(folder, error) from error
        status = os.fstat(file.fileno())
        place = f":{status.st_dev}:{status.st_ino}"
        if holder is not None and holder.host == socket.gethostname() and holder.run.endswith(place):
            _end(holder)
        run = uuid.uuid4().hex + place
        with _marked(run):
            yield StudyLock(file, run)
        file.truncate(0)


def lock_trial(folder: Path) -> int | None:
    """Hold a trial's folder until the handle that this returns is closed; None while another process holds it.

    Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = plainly(folder / TRIAL_LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


class TrialLocks:
    """The trials that this process holds, by their ids."""

    def __init__(self, folder_of: Callable[[str], Path]) -> None:
        self._folder_of = folder_of
        self._handles: dict[str, int] = {}

    def take(self, trial_id: str) -> bool:
        """Hold a trial; False while another process does. Raises OSError."""
        if trial_id not in self._handles:
            handle = lock_trial(self._folder_of(trial_id))
            if handle is None:
                return False
            self._handles[trial_id] = handle
        return True

    def release(self, trial_id: str) -> None:
        """Let other processes take a trial."""
        if (handle := self._handles.pop(trial_id, None)) is not None:
            os.close(handle)

    def release_all(self) -> None:
        """Let other processes take every trial."""
        for trial_id in list(self._handles):
            self.release(trial_id)


@contextmanager
def _marked(run: str) -> Iterator[None]:
    """Have processes that start meanwhile bear the mark of this run."""
    before = os.environ.get(RUN_VARIABLE)
    os.environ[RUN_VARIABLE] = run
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(RUN_VARIABLE, None)
        else:
            os.environ[RUN_VARIABLE] = before


def _read(file: FileIO) -> Holder | None:
    """What the holder of a study's lock wrote of itself, if that is whole; raises NotPlain for another file's name.

    None also when nobody holds it, or a process that is about to say who it is.
    """
    file.seek(0)
    content = file.read(LONGEST_NOTE)
    try:
        holder = Holder(**json.loads(content))
    except (ValueError, TypeError, RecursionError):
        holder = None
    if holder is not None and not _is_whole(holder):
        holder = None
    if holder is None and content and os.fstat(file.fileno()).st_nlink > 1:
        # Somebody's file under another name, which would be emptied.
        raise NotPlain(file.name, "a second name of another file")
    return holder


def _is_whole(holder: Holder) -> bool:
    """Whether all that was written is of the kind that drivers write."""
    texts = isinstance(holder.host, str) and isinstance(holder.run, str) and type(holder.pid) is int
    return (
        texts
        and re.fullmatch(r"[0-9a-f]{32}:\d+:\d+", holder.run) is not None
        and isinstance(holder.started, list)
        and all(
            isinstance(each, list) and [*map(type, each)] == [int, float] and each[0] > 1 for each in holder.started
        )
    )


def _end(holder: Holder) -> None:
    """Kill the processes that a holder started: this user's, begun when it says, and marked by its run."""
    import psutil

    gone = (psutil.Error, OSError, ValueError, OverflowError)
    found: list[psutil.Process] = []
    for pid, since in holder.started:
        with suppress(*gone):
            process = psutil.Process(pid)
            # The system uses process ids again; with the same starting time it is the same process.
            if process.create_time() == since and process.uids().real == os.getuid() and pid != os.getpid():
                found.append(process)
    marked: set[psutil.Process] = set()
    for process in found:
        with suppress(*gone):
            if process.environ().get(RUN_VARIABLE) == holder.run:
                # Ray's workers write their titles over their environments, so what starts them vouches for them.
                marked |= {process, *process.children(recursive=True)}
    for process in found:
        if process in marked:
            with suppress(*gone):
                process.kill()
