"""One process per study: a lock that ends with its process, and what a killed one left behind."""

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

import psutil

from platform.records.storage.tokens import RUNNING


class AlreadyRunning(Exception):
    """Another process holds the study; the message says which."""


class Lock:
    """Held by this process."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.note_descendants()

    def note_descendants(self) -> None:
        """Write down this process and all it started, so that the next one can end what a SIGKILL leaves running.

        Raises OSError.
        """
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
def locked(folder: Path) -> Iterator[Lock]:
    """Hold a study's folder; end what a killed holder left. Raises AlreadyRunning, and OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    # Unbuffered: what a full disk does not take must not be tried again when the file is closed.
    with (folder / RUNNING).open("a+b", buffering=0) as file:
        holder = _read(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"process {holder.get('pid', '?')} on {holder.get('host', '?')}") from error
        if holder.get("host") == socket.gethostname():
            _end(holder.get("started", []))
        yield Lock(file)
        file.truncate(0)


def _read(file: FileIO) -> dict[str, Any]:
    file.seek(0)
    try:
        holder: dict[str, Any] = json.loads(file.read())
    except ValueError:
        # Nobody, or one that is about to say who it is.
        return {}
    return holder if isinstance(holder, dict) else {}


def _end(started: list[tuple[int, float]]) -> None:
    for pid, since in started:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process = psutil.Process(pid)
            # A pid comes back some day; with the same starting time it is the same process.
            if process.create_time() == since:
                process.kill()
