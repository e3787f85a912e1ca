"""Decoded splits on a node's disk: built once by one process, shared by all, and built again where damaged."""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from platform.shifts.labels import Groups, group_names
from platform.shifts.shift import (
    CACHE_REMEDY,
    CacheDamaged,
    DataError,
    Images,
    LabelledImages,
    Oracle,
    Shift,
    Splits,
    cache_folder,
)
from platform.shifts.stored import CONTENTS, Stored, described

SPLITS = ("source.train", "source.val", "target.adapt", "target.val", "target.test")
"""What a build writes."""
LAYOUT = 4
"""Part of every key, raised whenever the files of a cache folder mean something else."""
UNUSABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST),
    *(errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL),
}
"""What a folder says in which this user cannot write, or nobody lock, whatever else is mended."""


def cached(key: str, build: Callable[[Path], None]) -> Path:
    """The cache folder named `key`, made by `build(folder)` if it is not there yet.

    One process of a node builds while others wait for its lock. The folder appears under its name only when it is
    complete, so that a build that dies halfway leaves nothing behind that could be mistaken for data.
    """
    final = cache_folder() / key
    if os.path.exists(final):  # noqa: PTH110 - Path.exists raises where another user's folder cannot be entered
        return final
    with _locked(final.parent, key):
        if not final.exists():
            partial = final.parent / f"{key}.partial"
            # Left by a build that was killed: whoever holds the lock is the only one building.
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                build(partial)
                partial.rename(final)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return final


def _locked(folder: Path, key: str) -> IO[bytes]:
    """The file that whoever builds an entry holds. Raises DataError where nothing can be written or locked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f"{key}.lock").open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in UNUSABLE:
            raise
        got = f"got {folder}: {error.strerror}"
        raise DataError(f"decoded data must have a folder to write and lock files in, {got}; {CACHE_REMEDY}") from error
    return lock


def splits(folder: Path, groups: Groups, places: Mapping[str, object]) -> Splits:
    """The `SPLITS` that a build wrote.

    Raises CacheDamaged, and DataError for a split whose labels cannot be scored; `places` says where each comes from.
    """
    for split, place in places.items():
        _require_classes(folder, split, groups, place)
    adapt, val, test = (load(folder, f"target.{split}") for split in ("adapt", "val", "test"))
    return Splits(
        source_train=load(folder, "source.train"),
        source_val=load(folder, "source.val"),
        target_adapt=adapt.images,
        target_val=val.images,
        oracle=Oracle(adapt, val, test),
    )


def load(folder: Path, split: str) -> LabelledImages:
    """A split that `NewSplit` wrote. Raises CacheDamaged."""
    known = described(folder, split)
    images, labels = (Stored(folder, split, what, known[what]) for what in CONTENTS)
    return LabelledImages(Images(images, tuple(known["names"])), labels, tuple(known.get("domains", ())))


def opened(shift: Shift, say: Callable[[str], None]) -> Splits:
    """The splits of a shift; what a node has decoded and is damaged is decoded again, which is said.

    Raises CacheDamaged where what was just decoded is damaged too.
    """
    try:
        return shift.open()
    except CacheDamaged as damage:
        discard(damage, say)
    return shift.open()


def discard(damage: CacheDamaged, say: Callable[[str], None]) -> None:
    """Remove the cache folder that is damaged, unless another process has built it again meanwhile."""
    with _locked(damage.folder.parent, damage.folder.name):
        if _is_there(damage):
            say(f"{damage}; the data are decoded again")
            shutil.rmtree(damage.folder)


def _is_there(damage: CacheDamaged) -> bool:
    try:
        known = described(damage.folder, damage.split)
        for what in known.keys() & {*CONTENTS}:
            arrays = Stored(damage.folder, damage.split, what, known[what])
            if damage.position is not None:
                arrays[[damage.position]]
    except CacheDamaged:
        return damage.folder.exists()
    return False


def _require_classes(folder: Path, split: str, groups: Groups, place: object) -> None:
    """Refuse labels of no class, or of one only: every prediction of that one would score 1."""
    pixels = described(folder, split)["pixels"]
    names = group_names(groups)
    held = [name for name, group in zip(names, groups, strict=True) if any(pixels[member] for member in group)]
    if len(held) < 2:
        raise DataError(
            f"{place}: the labels of {split} must hold two evaluated classes or more, got {' '.join(held) or 'none'}; "
            f"the shift evaluates {', '.join(names)}: replace these labels, or name other groups"
        )
