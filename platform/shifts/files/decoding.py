"""Pairs of images and label images, decoded into the arrays of a cache."""

import logging
import math
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from platform.shifts.files.codings import Counts, Spread
from platform.shifts.files.images import Pair, read_image
from platform.shifts.files.label_images import read_ids, to_train_ids
from platform.shifts.shift import Pixels
from platform.shifts.stored import NewSplit

TOLD_AT = 1000
"""Images between two lines about how far the decoding is."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairedFiles:
    """A split on disk, and the sizes (height, width) that its arrays get."""

    name: str
    pairs: Sequence[Pair]
    size: tuple[int, int]
    label_size: tuple[int, int]
    full_size: bool = False
    """Whether labels keep the ground truth's own resolution, which must then be `label_size`."""


def label_size(pair: Pair) -> tuple[int, int]:
    """Height and width of a pair's label image."""
    height, width = read_ids(pair.labels).shape
    return height, width


def require_space(folder: Path, splits: Sequence[PairedFiles]) -> None:
    """Raise ValueError unless the arrays of the splits have room in a folder.

    Writing to a memory map on a full disk would end the process without a message.
    """
    require_room(folder, sum(len(split.pairs) * decoded_bytes(split.size, split.label_size) for split in splits))


def require_room(folder: Path, needed: int) -> None:
    """Raise ValueError unless a folder has room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"the decoded data need {needed / 1e9:.1f} GB in {folder.parent}, got {free / 1e9:.1f} GB free; "
            "choose a smaller size, or set XDG_CACHE_HOME to a folder on a larger disk"
        )


def decode(folder: Path, split: PairedFiles, spread: Spread) -> None:
    """Decode a split of label ids into arrays of the cache, and count in `spread` what its files hold.

    Raises ValueError for the first file, in order, that is not as it should be.
    """
    written = NewSplit(folder, split.name, len(split.pairs), split.size, split.label_size)

    def fill(position: int) -> Counts:
        pair = split.pairs[position]
        image, ids = read_image(pair.image), read_ids(pair.labels)
        truth = to_train_ids(ids, "label", pair.labels)
        _require_size(pair.labels, truth.shape, (image.height, image.width), f"its image {pair.image}")
        if split.full_size:
            _require_size(pair.labels, truth.shape, split.label_size, "the split's other label images")
        written.put(position, resized(image, split.size), resized_labels(truth, split.label_size))
        counts: Counts = np.bincount(ids.ravel(), minlength=256)
        return counts

    # Pillow decodes and resizes without holding the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, counts in enumerate(pool.map(fill, range(len(split.pairs))), start=1):
            spread.add(split.pairs[number - 1].labels, counts)
            if number % TOLD_AT == 0:
                logger.info("%s: decoded %s of %s images", split.name, f"{number:,}", f"{len(split.pairs):,}")
    written.finish([pair.name for pair in split.pairs])


def resized(image: Image.Image, size: tuple[int, int]) -> Pixels:
    """An image at a size (height, width), each pixel the mean of what it covers."""
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))


def resized_labels(truth: Pixels, size: tuple[int, int]) -> Pixels:
    """Labels at a size (height, width), each pixel as the nearest one."""
    return np.asarray(Image.fromarray(truth).resize(size[::-1], Image.Resampling.NEAREST))


def _require_size(path: Path, size: tuple[int, ...], expected: tuple[int, ...], owner: str) -> None:
    if size != expected:
        raise ValueError(
            f"{path} must have the size of {owner}, {expected[1]} x {expected[0]}, got {size[1]} x {size[0]}; "
            "replace the pair, or move both files away"
        )


def decoded_bytes(size: tuple[int, int], label_size: tuple[int, int]) -> int:
    """What an image and its labels take in the cache."""
    return 3 * math.prod(size) + math.prod(label_size)
