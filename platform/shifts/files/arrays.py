"""Files as the arrays that a domain gives: an image, and labels as train ids. Every error names the file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from platform.shifts.files import images
from platform.shifts.files.label_images import Ids, read_ids, to_train_ids
from platform.shifts.labels import VOID, train_id
from platform.shifts.shift import Pixels


def image_of(path: Path | str) -> Pixels:
    """An image file as 8-bit RGB, shape (height, width, 3). Raises ValueError for one that cannot be read."""
    return np.asarray(images.read_image(Path(path)))


def labels_of(path: Path | str, ids: Ids | Mapping[int, str] = "train") -> Pixels:
    """An 8-bit PNG of ids as train ids, shape (height, width).

    `ids` says what the file holds: Cityscapes' `train` or `label` ids, or those of a table, `{0: "road", 3: "car"}`,
    all others being void. Raises ValueError for a file that cannot be read, and for ids that are none.
    """
    held = read_ids(Path(path))
    if not isinstance(ids, Mapping):
        return to_train_ids(held, ids, Path(path))
    table = np.full(256, VOID, np.uint8)
    for own, name in ids.items():
        table[own] = train_id(name)
    return table[held]
