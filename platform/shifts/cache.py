"""Decoded splits on a node's disk: built once by one process, then shared by all through memory maps."""

import fcntl
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from platform.shifts.shift import Images, LabelledImages, Oracle, Pixels, Splits, cache_folder


def cached(key: str, build: Callable[[Path], None]) -> Path:
    """The cache folder named `key`, made by `build(folder)` if it is not there yet.

    One process of a node builds while others wait for its lock. The folder appears under its name only when it is
    complete, so that a build that dies halfway leaves nothing behind that could be mistaken for data.
    """
    final = cache_folder() / key
    if final.exists():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with (final.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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


def allocate(folder: Path, name: str, shape: tuple[int, ...]) -> Pixels:
    """A writable uint8 array in the cache that a build fills one image at a time, so that memory never holds it all."""
    array: Pixels = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape)
    return array


def write_names(folder: Path, split: str, names: Sequence[str]) -> None:
    """Store the names of a split's images, in order."""
    (folder / f"{split}.json").write_text(json.dumps(list(names)))


def splits(folder: Path) -> Splits:
    """Map the five splits that a build wrote: source.train, source.val, target.adapt, target.val and target.test."""
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
    names = tuple(json.loads((folder / f"{split}.json").read_text()))
    pixels = np.load(folder / f"{split}.images.npy", mmap_mode="r")
    labels = np.load(folder / f"{split}.labels.npy", mmap_mode="r")
    return LabelledImages(Images(pixels, names), labels)
