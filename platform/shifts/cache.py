"""Decoded splits on a node's disk: built once by one process, then shared by all through memory maps."""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Int64

from platform.shifts.labels import Groups, group_names
from platform.shifts.shift import (
    CACHE_REMEDY,
    DataError,
    Images,
    LabelledImages,
    Oracle,
    Pixels,
    Splits,
    cache_folder,
)

SPLITS = ("source.train", "source.val", "target.adapt", "target.val", "target.test")
"""What a build writes."""
LAYOUT = 2
"""Part of every key, raised whenever the files of a cache folder mean something else."""
UNUSABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST),
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


def allocate(folder: Path, name: str, shape: tuple[int, ...]) -> Pixels:
    """A writable uint8 array in the cache that a build fills one image at a time, so that memory never holds it all."""
    array: Pixels = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape)
    return array


def write_split(folder: Path, split: str, names: Sequence[str], pixels: Int64[np.ndarray, "256"]) -> None:
    """Store the names of a split's images, in order, and how many pixels its labels hold of each train id."""
    (folder / f"{split}.json").write_text(
        json.dumps({"names": list(names), "pixels": pixels.tolist()}), encoding="utf-8"
    )


def splits(folder: Path, groups: Groups, places: Mapping[str, object]) -> Splits:
    """Map the `SPLITS` that a build wrote.

    Raises DataError for a split whose labels cannot be scored; `places` says where each split comes from.
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
    """Map `<split>.images.npy`, `<split>.labels.npy` and `<split>.json` read-only."""
    names = tuple(_described(folder, split)["names"])
    pixels = np.load(folder / f"{split}.images.npy", mmap_mode="r")
    labels = np.load(folder / f"{split}.labels.npy", mmap_mode="r")
    return LabelledImages(Images(pixels, names), labels)


def _require_classes(folder: Path, split: str, groups: Groups, place: object) -> None:
    """Refuse labels of no class, or of one only: every prediction of that one would score 1."""
    pixels = _described(folder, split)["pixels"]
    names = group_names(groups)
    held = [name for name, group in zip(names, groups, strict=True) if any(pixels[member] for member in group)]
    if len(held) < 2:
        raise DataError(
            f"{place}: the labels of {split} must hold two evaluated classes or more, got {' '.join(held) or 'none'}; "
            f"the shift evaluates {', '.join(names)}: replace these labels, or name other groups"
        )


def _described(folder: Path, split: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))
    return described
