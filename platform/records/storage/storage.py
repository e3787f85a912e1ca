"""Storages, where results lie: a folder here, a bucket of S3 in `platform.records.storage.bucket`.

Names are paths below the results: `trials/<trial id>/record.jsonl`.
"""

import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from platform.records.storage.files import PARTIAL, append_line, is_plain, read_plain, write_whole
from platform.records.storage.tokens import MARK

SIGHT_SECONDS = 60.0
"""How long a new file may stay unseen on another node: for so long NFS remembers that it was not there."""
MOST_BYTES, MOST_WEIGHTS = 1 << 28, 1 << 36
"""Greatest size of a file that is read: of records, of which a report takes some KB, and of a network's weights."""


def most_bytes(name: str) -> int:
    """The greatest size that a file of this name may have."""
    return MOST_WEIGHTS if name.endswith(".pt") else MOST_BYTES


class Storage(Protocol):
    """Files that appear whole, and lines that are appended whole, or not at all.

    Its methods raise OSError. `str(storage)` is the name that a user typed.
    """

    def read(self, name: str) -> bytes:
        """A file's content. Raises FileNotFoundError, and TooLarge for one of more than `most_bytes`."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file as a whole."""

    def append(self, name: str, line: bytes) -> None:
        """Append a line that holds no newline, and its newline. Only one process at a time appends to a file."""

    def remove(self, name: str) -> None:
        """Remove a file, which may be gone already."""

    def shows(self, sign: str) -> bool:
        """Whether a file is there, or was a few seconds ago; quick enough to be asked between steps, never raises."""

    def names(self, folder: str) -> list[str]:
        """The files and folders in a folder, sorted."""

    def move(self, name: str, to: str) -> None:
        """Give a file or folder another name, over what is there."""

    def copy(self, name: str, to: str) -> None:
        """Copy a folder, over what is there."""

    def modified(self, name: str) -> float:
        """When a file was last written, in seconds since the epoch."""

    def tidy(self, folder: str) -> None:
        """Remove the temporary files that killed writers left in a folder."""


@dataclass(frozen=True)
class Folder:
    """Results in a folder, of this machine or shared by all nodes under the same path."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self, name: str) -> bytes:
        return read_plain(self.path / name, most_bytes(name))

    def write(self, name: str, content: bytes) -> None:
        write_whole(self.path / name, content)

    def append(self, name: str, line: bytes) -> None:
        append_line(self.path / name, line)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def shows(self, sign: str) -> bool:
        # Not Path.exists, which raises when the mount is lost.
        return os.path.exists(self.path / sign)  # noqa: PTH110

    def names(self, folder: str) -> list[str]:
        path = self.path / folder
        return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []

    def move(self, name: str, to: str) -> None:
        source, target = self.path / name, self.path / to
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and source.is_dir() and not source.is_symlink():
            for entry in list(source.iterdir()):
                self.move(f"{name}/{entry.name}", f"{to}/{entry.name}")
            source.rmdir()
        else:
            source.rename(target)

    def copy(self, name: str, to: str) -> None:
        shutil.copytree(self.path / name, self.path / to, dirs_exist_ok=True, ignore=_odd)

    def modified(self, name: str) -> float:
        return (self.path / name).stat().st_mtime

    def tidy(self, folder: str) -> None:
        for leftover in (self.path / folder).glob(f"*{PARTIAL}*"):
            leftover.unlink()


def _odd(folder: str, names: list[str]) -> list[str]:
    """What is neither a plain file nor a folder: a copy would not end, or be of what a link points to."""
    paths = {name: Path(folder, name) for name in names}
    return [name for name, path in paths.items() if not is_plain(path) and (path.is_symlink() or not path.is_dir())]


class NotShared(ValueError):
    """A node does not see the results."""

    def __init__(self, storage: Storage, node: str) -> None:
        super().__init__(
            f"results must lie where every node sees them, got {storage}, which {node} does not see; "
            "name a shared folder or s3://BUCKET/PREFIX with --results"
        )


class Mark(NamedTuple):
    """A file that other nodes look for, and its content."""

    file: str
    content: bytes


def leave_mark(storage: Storage, study: str) -> Mark:
    """Write a new mark in a study's folder. Raises OSError."""
    written = Mark(f"{study}/{MARK}", uuid.uuid4().hex.encode())
    storage.write(*written)
    return written


def sees(storage: Storage, mark: Mark) -> bool:
    """Whether this node sees a mark, once it has had the time to."""
    deadline = time.monotonic() + SIGHT_SECONDS
    while not _reads(storage, mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def _reads(storage: Storage, mark: Mark) -> bool:
    try:
        return storage.read(mark.file) == mark.content
    except OSError:
        return False
