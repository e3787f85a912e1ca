"""What files hold, by their digests: each is read once, and again only when the file system tells of a change."""

import hashlib
import logging
import os
import time
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from platform.shifts.files.listing import everything
from platform.shifts.shift import cache_folder
from platform.shifts.stored import read_checked, write_checked

SETTLED_SECONDS = 2.0
"""A file that changed more recently is read again next time: clocks may tick too coarsely to tell the next change."""
MANY, TOLD_AT = 100, 5_000
"""Files that are worth a line, and files between two lines about how far the reading is."""

Stamp = list[int]
"""What the file system knows of a file: size, times of its content's and its entry's last change, number."""
_Known = dict[str, tuple[Stamp, str]]

logger = logging.getLogger(__name__)


def digests(root: Path, paths: Sequence[Path]) -> list[str]:
    """The SHA-256 of each file, in hexadecimal digits.

    What is known of the files of `root` is kept in the node's cache. Raises ValueError naming a file that cannot be
    read.
    """
    kept = cache_folder() / f"contents-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.json"
    known = _read(kept)
    stamps = [_stamp(path) for path in paths]
    unread = [path for path, stamp in zip(paths, stamps, strict=True) if known.get(str(path), (None, ""))[0] != stamp]
    if unread:
        if len(unread) >= MANY:
            logger.info("reading %s files of %s: data are known by their content", f"{len(unread):,}", root)
        began = time.time()
        found = dict(zip(unread, _read_all(unread), strict=True))
        new = {
            str(path): (stamp, found[path]) if path in found else known[str(path)]
            for path, stamp in zip(paths, stamps, strict=True)
        }
        settled = int((began - SETTLED_SECONDS) * 1e9)
        known |= new
        _write(kept, {path: entry for path, entry in known.items() if entry[0][2] < settled})
    return [known[str(path)][1] for path in paths]


def contents(folder: Path) -> str | None:
    """The digest of all files below a folder, by name and content, leftovers of other programs left out.

    It is the same wherever the folder lies; None where there is none. Raises ValueError for what cannot be read.
    """
    if not folder.is_dir():
        return None
    paths = everything(folder)
    lines = [
        os.fsencode(unicodedata.normalize("NFC", str(path.relative_to(folder)))) + b" " + found.encode()
        for path, found in zip(paths, digests(folder.absolute(), paths), strict=True)
    ]
    return hashlib.sha256(b"\n".join(sorted(lines))).hexdigest()[:16]


def _read_all(paths: Sequence[Path]) -> Iterator[str]:
    # Neither reading nor hashing holds the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, digest in enumerate(pool.map(_digest, paths), start=1):
            if number % TOLD_AT == 0:
                logger.info("read %s of %s files", f"{number:,}", f"{len(paths):,}")
            yield digest


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read(kept: Path) -> _Known:
    """What was kept; nothing where that was damaged, or is not there."""
    return {path: (stamp, digest) for path, (stamp, digest) in (read_checked(kept) or {}).items()}


def _write(kept: Path, known: _Known) -> None:
    # Without it the files are read again.
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        write_checked(partial, known)
        partial.replace(kept)


def _unreadable(path: Path, error: OSError) -> ValueError:
    return ValueError(f"{path} cannot be read: {error.strerror}; replace it with an intact copy")
