"""Locks, which end with their process: one driver per study, which ends what a killed one left, and one per trial."""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from platform.records.storage.tokens import STUDY_LOCK, TRIAL_LOCK


class AlreadyRunning(Exception):
    """Another process holds the study; the message says which."""


class NoLocks(ValueError):
    """A folder on whose file system files cannot be locked."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"results must lie where files can be locked, or two commands could train one trial, got {folder}: "
            f"{error.strerror}; take a folder of this machine's own disk, and copy it afterwards"
        )


class StudyLock:
    """The lock on a study's folder, held by this process."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.note_descendants()

    def note_descendants(self) -> None:
        """Write down this process and all it started, so that the next one can end what a SIGKILL leaves running.

        Raises OSError.
        """
        # Here, because most commands take no lock.
        import psutil

        started = [(child.pid, child.create_time()) for child in psutil.Process().children(recursive=True)]
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
        content = json.dumps(holder).encode()
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
    with (folder / STUDY_LOCK).open("a+b", buffering=0) as file:
        holder = _read(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"process {holder.get('pid', '?')} on {holder.get('host', '?')}") from error
        except OSError as error:
            raise NoLocks(folder, error) from error
        if holder.get("host") == socket.gethostname():
            _kill(holder.get("started", []))
        yield StudyLock(file)
        file.truncate(0)


def lock_trial(folder: Path) -> int | None:
    """Hold a trial's folder until the handle that this returns is closed; None while another process holds it.

    Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / TRIAL_LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _read(file: FileIO) -> dict[str, Any]:
    """What the holder of a study's lock wrote of itself."""
    file.seek(0)
    try:
        holder: dict[str, Any] = json.loads(file.read())
    except ValueError:
        # Nobody holds it, or a process that is about to say who it is.
        return {}
    return holder if isinstance(holder, dict) else {}


def _kill(started: list[tuple[int, float]]) -> None:
    """Kill processes, given as process ids and starting times."""
    import psutil

    for pid, since in started:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process = psutil.Process(pid)
            # The system uses process ids again; with the same starting time it is the same process.
            if process.create_time() == since:
                process.kill()
