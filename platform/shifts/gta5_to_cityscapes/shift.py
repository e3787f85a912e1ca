"""From a game to photographs: GTA5 to Cityscapes, read from a folder that holds `gta5/` and `cityscapes/`."""

import contextlib
import functools
import hashlib
import itertools
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from platform.shifts.cache import allocate, cached, splits, write_names
from platform.shifts.gta5_to_cityscapes import cityscapes, gta5
from platform.shifts.images import Pair, read_image, read_labels
from platform.shifts.labels import SINGLE_CLASSES, Groups, check_groups
from platform.shifts.shift import DATA_VARIABLE, DataError, Pixels, Shift, Splits

MOST_HELD_OUT = 250
"""A tenth of the source and of the target's images is held out, but no more than this."""

DECODING = 1
"""Raised whenever the same files would be decoded to other arrays."""

EXPECTED = (
    f"set {DATA_VARIABLE} or pass --data with a folder that holds gta5/images and gta5/labels "
    "(from https://download.visinf.tu-darmstadt.de/data/from_games) and cityscapes/leftImg8bit and cityscapes/gtFine "
    "(leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from https://www.cityscapes-dataset.com)"
)

logger = logging.getLogger(__name__)


def gta5_to_cityscapes(
    root: Path | str | None = None, size: tuple[int, int] = (512, 1024), groups: Groups = SINGLE_CLASSES
) -> "GTA5ToCityscapes":
    """GTA5 to Cityscapes with images of `size` (height, width).

    `root` defaults to the environment variable PLATFORM_DATA, read when this is called; a plan needs no data.
    Raises ValueError when the size is not two positive integers.
    """
    root = root or os.environ.get(DATA_VARIABLE)
    return GTA5ToCityscapes(size=size, groups=groups, root=Path(root).expanduser().absolute() if root else None)


@dataclass(frozen=True)
class GTA5ToCityscapes(Shift):
    """GTA5 to Cityscapes: neighbouring frames look alike, so splits are blocks of names in order, never drawn.

    source train, val    GTA5 without its last tenth, and that tenth (at most 250 frames)
    target adapt, val    Cityscapes train without its last tenth, and that tenth (at most 250)
    target test          Cityscapes val, its labels at their own resolution
    """

    root: Path | None
    """The folder that holds `gta5/` and `cityscapes/`; a plan needs none."""

    name = "gta5_to_cityscapes"

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, tuple) else ()
        if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
            raise ValueError(f"size must be height and width in pixels, got {self.size!r}; the default is (512, 1024)")
        check_groups(self.groups)

    def identity(self) -> dict[str, Any]:
        """Size, groups, and the digest of the files' names and sizes: None where there are no files."""
        groups = [list(group) for group in self.groups]
        return {"name": self.name, "size": list(self.size), "groups": groups, "data": self._data, "decoding": DECODING}

    def check(self) -> None:
        """Raise DataError when a folder is missing or empty, or a file has no partner; files are read by `open`."""
        if self.root is None:
            raise DataError(f"GTA5 to Cityscapes needs its data, got no folder; {EXPECTED}")
        if not self.root.is_dir():
            raise DataError(f"the data folder {self.root} does not exist; {EXPECTED}")
        self._pairs(self.root)

    def open(self) -> Splits:
        """The splits from the node's cache; raises DataError for the first file, in order, that is not as published."""
        # By the files' digest: once decoded, nobody needs to look at 55,000 files, perhaps on a slow share.
        key = hashlib.sha256(json.dumps([list(self.size), self._data, DECODING]).encode()).hexdigest()[:16]
        return splits(cached(f"{self.name}-{key}", self._build))

    def smoke(self) -> Shift:
        """A tiny `town` with the same groups."""
        from platform.shifts.town.shift import town

        return replace(town().smoke(), groups=self.groups)

    @functools.cached_property
    def _data(self) -> str | None:
        return _digest(self.root)

    def _pairs(self, root: Path) -> dict[str, list[Pair]]:
        """The pairs of each split."""
        with _data_errors():
            source = gta5.pairs(root / "gta5")
            target = cityscapes.pairs(root / "cityscapes", "train")
            test = cityscapes.pairs(root / "cityscapes", "val")
        for place, pairs, least in (
            ("gta5/images", source, 2),
            ("cityscapes/leftImg8bit/train", target, 2),
            ("cityscapes/leftImg8bit/val", test, 1),
        ):
            if len(pairs) < least:
                raise DataError(f"{root / place} must hold at least {least} images, got {len(pairs)}; {EXPECTED}")
        source_train, source_val = _hold_out(source)
        adapt, val = _hold_out(target)
        return {
            "source.train": source_train,
            "source.val": source_val,
            "target.adapt": adapt,
            "target.val": val,
            "target.test": test,
        }

    def _build(self, folder: Path) -> None:
        if self.root is None or self._data is None or _digest(self.root) != self._data:
            self.check()
            raise DataError(
                f"the files in {self.root} are not those that this study was planned with; "
                "keep them as they are while it runs, the same on every machine, and run the command again"
            )
        pairs_of = self._pairs(self.root)
        with _data_errors():
            full_size = read_labels(pairs_of["target.test"][0].labels).shape
            label_sizes = {split: full_size if split == "target.test" else self.size for split in pairs_of}
            _require_space(
                folder, sum(len(pairs_of[s]) * (3 * _area(self.size) + _area(label_sizes[s])) for s in pairs_of)
            )
            for split, pairs in pairs_of.items():
                _decode(folder, split, pairs, self.size, label_sizes[split])


def _hold_out(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    held_out = min(MOST_HELD_OUT, max(1, len(pairs) // 10))
    return list(pairs[:-held_out]), list(pairs[-held_out:])


def _digest(root: Path | None) -> str | None:
    """The files' names below the root and their sizes in bytes, hashed: quick, and the same wherever the data lie."""
    if root is None:
        return None
    folders = (
        *gta5.files(root / "gta5"),
        *cityscapes.files(root / "cityscapes", "train"),
        *cityscapes.files(root / "cityscapes", "val"),
    )
    paths = itertools.chain.from_iterable(files.values() for files in folders)
    try:
        lines = sorted(f"{path.relative_to(root).as_posix()} {path.stat().st_size}" for path in paths)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}; replace it with an intact copy") from error
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] if lines else None


def _decode(
    folder: Path, split: str, pairs: Sequence[Pair], size: tuple[int, int], label_size: tuple[int, ...]
) -> None:
    """Decode a split into arrays of the cache."""
    images = allocate(folder, f"{split}.images", (len(pairs), *size, 3))
    labels = allocate(folder, f"{split}.labels", (len(pairs), *label_size))

    def fill(position: int) -> None:
        image, truth = _read(pairs[position])
        if split == "target.test":
            _require_size(pairs[position].labels, truth.shape, label_size, "the split's other label images")
        images[position] = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))
        resized = Image.fromarray(truth).resize((label_size[1], label_size[0]), Image.Resampling.NEAREST)
        labels[position] = np.asarray(resized)

    # Pillow decodes and resizes without holding the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, _ in enumerate(pool.map(fill, range(len(pairs))), start=1):
            if number % 1000 == 0 or number == len(pairs):
                logger.info("%s: decoded %d of %d images", split, number, len(pairs))
    write_names(folder, split, [pair.name for pair in pairs])


def _read(pair: Pair) -> tuple[Image.Image, Pixels]:
    image, truth = read_image(pair.image), read_labels(pair.labels)
    _require_size(pair.labels, truth.shape, (image.height, image.width), f"its image {pair.image}")
    return image, truth


def _require_size(path: Path, size: tuple[int, ...], expected: tuple[int, ...], owner: str) -> None:
    if size != expected:
        raise ValueError(
            f"{path} must have the size of {owner}, {expected[1]} x {expected[0]}, got {size[1]} x {size[0]}; "
            "replace the pair, or move both files away"
        )


def _require_space(folder: Path, needed: int) -> None:
    """Writing to a memory map on a full disk would end the process without a message."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"the decoded data need {needed / 1e9:.1f} GB in {folder.parent}, got {free / 1e9:.1f} GB free; "
            "choose a smaller size, or set XDG_CACHE_HOME to a folder on a larger disk"
        )


def _area(size: tuple[int, ...]) -> int:
    return size[0] * size[1]


@contextlib.contextmanager
def _data_errors() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise DataError(str(error)) from error
