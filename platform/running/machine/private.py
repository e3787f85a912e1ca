"""A folder for what a study has outside of its results: nobody else reads, foresees or takes it, or empties it."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "study-"
OURS, KEPT = "driver", "kept"
"""Marks in a folder: that its driver runs, or was killed; that it is kept for the logs in it."""
NOW = fcntl.LOCK_EX | fcntl.LOCK_NB
KEPT_SECONDS = 24 * 3600.0
EMPTY_SECONDS = 2.0
"""How long processes that are ending may go on to write."""
REMEDY = "have RAY_TMPDIR name a folder with a short path of plain letters that is yours to write to"


class Unsafe(ValueError):
    """A folder for temporary files in which another user may put one of theirs in the place of ours."""


def temporary() -> Path:
    """Where temporary files lie: in the folder that Ray would take."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp").absolute()


def refuse_unsafe() -> None:
    """Raise Unsafe where another user may exchange what lies in the folder for temporary files."""
    if (found := danger(temporary().resolve())) is not None:
        raise Unsafe(f"temporary files must lie where only you may exchange them, got {found}; {REMEDY}")


def danger(folder: Path) -> str | None:
    """The folder, or one above it, in which another user may exchange what lies there, and why."""
    for above in (folder, *folder.parents):
        with suppress(FileNotFoundError, PermissionError):
            if (reason := _danger(above.stat())) is not None:
                return f"{above}, {reason}"
    return None


@contextmanager
def private_folder(kept: str = "") -> Iterator[Path]:
    """A folder that goes at the end. What killed drivers of this user left beside it goes first. Raises OSError.

    It is locked: cleaners of /tmp pass over what is (systemd-tmpfiles, by its man page), and so do other studies. After
    an error, the folders of logs that the pattern `kept` names stay for a day.
    """
    base = temporary()
    base.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    # Whoever looks for abandoned ones may hold it for a moment.
    lock = _locked(folder, fcntl.LOCK_EX)
    try:
        # What has no mark is never removed by another: it may not be locked yet.
        (folder / OURS).write_text(f"{os.getpid()}\n", encoding="ascii")
        yield folder
    except BaseException:
        _remove(folder, but=[logs for logs in folder.glob(kept) if _said(logs)] if kept else [])
        raise
    else:
        _remove(folder)
    finally:
        if lock is not None:
            os.close(lock)


def _danger(state: os.stat_result) -> str | None:
    """What lets another user exchange what lies in a folder; root may, and a group that was allowed to write."""
    if state.st_uid not in _trusted():
        return f"which belongs to the user {state.st_uid}"
    if state.st_mode & stat.S_IWOTH and not state.st_mode & stat.S_ISVTX:
        return "which everybody may write to without chmod +t"
    return None


def _trusted() -> set[int]:
    """The users who may exchange anything: this one and root, whom a container may know by no number of its own."""
    trusted = {0, os.getuid()}
    with suppress(OSError):
        if Path("/proc/self/uid_map").read_text(encoding="ascii").split() != ["0", "0", "4294967295"]:
            trusted.add(int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii")))
    return trusted


def _locked(folder: Path, how: int) -> int | None:
    """A folder's descriptor that holds its lock; None where its disk has none, or another process, and LOCK_NB."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_abandoned(base: Path) -> None:
    """Remove this user's folders that nobody holds, and logs that were kept long enough."""
    for folder in base.glob(PREFIX + "?" * 8):
        with suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and (lock := _locked(folder, NOW)) is not None:
                try:
                    if (folder / OURS).is_file() or _age(folder / KEPT) > KEPT_SECONDS:
                        _remove(folder)
                finally:
                    os.close(lock)


def _age(file: Path) -> float:
    """How old a file is, in seconds; one that is not there is new."""
    return time.time() - file.stat().st_mtime if file.is_file() else 0.0


def _said(logs: Path) -> bool:
    """Whether there is anything in a folder of logs."""
    return any(file.is_file() and file.stat().st_size for file in logs.rglob("*"))


def _remove(folder: Path, but: Sequence[Path] = ()) -> None:
    """Remove a folder, all but some folders in it; its mark goes last, so what cannot go now goes another time."""
    if but:
        with suppress(FileNotFoundError):
            (folder / OURS).rename(folder / KEPT)
        (folder / KEPT).touch()
    marks, deadline = [folder / OURS, folder / KEPT], time.monotonic() + EMPTY_SECONDS
    while _is_left(folder, [*marks, *but]) and time.monotonic() < deadline:
        time.sleep(0.01)
    if not but and not _is_left(folder, marks):
        shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path, but: Sequence[Path]) -> bool:
    """Remove what is in a folder, which may be gone, all but some of it; whether there was anything else."""
    left, held = False, set[Path]()
    with suppress(FileNotFoundError):
        held = set(folder.iterdir())
    for path in held - set(but):
        if any(path in kept.parents for kept in but):
            left |= _is_left(path, but)
            continue
        left = True
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return left
