"""Files that appear whole, and lines that are appended whole, or not at all; on the disk before anybody is told."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = ".partial-"
"""Part of the name of every temporary file: a killed process may leave one behind."""
UNSYNCED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
"""What a file system says that cannot be told to write a folder."""
MODE = 0o664
"""What a new file allows, less what the user's mask takes away: nobody beyond the group writes to results."""
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class NotPlain(OSError):
    """Something else stands in a file's place; the message says what, and what to do."""

    def __init__(self, path: str | Path, what: str) -> None:
        super().__init__(errno.EINVAL, f"must be a plain file, got {what}; move it away", str(path))

    def __str__(self) -> str:
        return f"{self.filename} {self.strerror}"


class TooLarge(NotPlain):
    """A file is larger than any that was written here."""

    def __init__(self, path: str | Path, size: int, at_most: int) -> None:
        OSError.__init__(
            self, errno.EFBIG, f"must have at most {at_most:,} bytes, got {size:,}; move it away", str(path)
        )


def plainly(path: str | Path, flags: int) -> int:
    """Open a plain file, and nothing else: no link is followed, and nobody waits for a pipe's other end.

    As `opener` of `open`; raises NotPlain and what `os.open` raises.
    """
    try:
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, MODE)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotPlain(path, "a link" if error.errno == errno.ELOOP else "a pipe or a socket") from error
        raise
    if not stat.S_ISREG(kind := os.fstat(file).st_mode):
        os.close(file)
        raise NotPlain(path, KINDS.get(stat.S_IFMT(kind), "something else"))
    return file


def read_plain(path: Path, at_most: int) -> bytes:
    """The content of a plain file, which may be somebody else's. Raises NotPlain, TooLarge and OSError."""
    with open(path, "rb", opener=plainly) as file:
        if (size := os.fstat(file.fileno()).st_size) > at_most:
            raise TooLarge(path, size, at_most)
        return file.read()


def is_plain(path: Path) -> bool:
    """Whether a plain file is there, and not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file by way of a temporary one, on the disk before it takes the name; folders are made as needed."""
    with _partial(path, content) as partial:
        partial.replace(path)
    return path


def write_new(path: Path, content: bytes) -> None:
    """Like `write_whole`, but a file that is there already stays, also when it appears meanwhile."""
    with _partial(path, content) as partial:
        try:
            path.hardlink_to(partial)
        except FileExistsError:
            pass
        except OSError:
            # No hard links, as on a mounted Drive or a FAT disk: of two that come at one moment the last stays.
            if not path.exists():
                partial.replace(path)


@contextmanager
def _partial(path: Path, content: bytes) -> Iterator[Path]:
    """A temporary file beside a path, on the disk, to be given its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}{PARTIAL}{os.getpid()}")
    try:
        # Left by a killed process, or a link that others planted where they may write.
        partial.unlink(missing_ok=True)
        with _opened(partial, os.O_EXCL) as file:
            _write(file, content)
        yield partial
        _sync_folder(path.parent)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def append_line(path: Path, line: bytes) -> None:
    """Append a line that holds no newline, and its newline; a line that a crash tore off is cut away first.

    When the disk takes only a part of it, the file is left as it was. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opened(path, os.O_APPEND) as file:
        before = _whole_lines(file)
        os.ftruncate(file, before)
        try:
            _write(file, line + b"\n")
        except OSError as error:
            error.filename = str(path)
            with suppress(OSError):
                os.ftruncate(file, before)
            raise
    if before == 0:
        _sync_folder(path.parent)


@contextmanager
def _opened(path: Path, flag: int) -> Iterator[int]:
    """A file's descriptor, for reading and writing; a file that is not there is made."""
    file = plainly(path, os.O_RDWR | os.O_CREAT | flag)
    try:
        yield file
    finally:
        os.close(file)


def _write(file: int, content: bytes) -> None:
    """Write all of the content, and wait until it is on the disk."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fsync(file)


def _whole_lines(file: int) -> int:
    """The length of a file up to its last newline."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - 65536)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    """Have the folder's names on the disk too, without which a new file may vanish with the power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # A mounted Drive writes folders when it pleases, and says so.
        if error.errno not in UNSYNCED:
            raise
    finally:
        os.close(handle)
