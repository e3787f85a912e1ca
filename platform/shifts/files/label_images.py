"""Label images on disk: what their names say of them, and the ids that they hold. Every error names the file."""

import re
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from platform.shifts.files import png
from platform.shifts.files.images import WrongKind, named, opened, require_whole
from platform.shifts.labels import LARGEST_LABEL_ID, NUM_CLASSES, VOID, label_id_to_train_id

Ids = Literal["train", "label"]
LABEL_ENDINGS = ("png",)

_KIND = re.compile(r"(_gt[A-Za-z]*)?_(labelTrainIds|labelIds|color|labelColor|instanceTrainIds|instanceIds)$")
_IDS: dict[str, Ids] = {"labelTrainIds": "train", "labelIds": "label"}
_REMEDY = "save the ids as an 8-bit grey or paletted PNG"


def kind_of(stem: str) -> tuple[str, str]:
    """A file's name without Cityscapes' ending for a ground truth, and that ending: `("ulm_0", "_gtFine_color")`."""
    match = _KIND.search(stem)
    return (stem[: match.start()], match[0]) if match else (stem, "")


def ids_of(ending: str) -> Ids | None:
    """The ids that a ground truth of this ending holds; None for colours and instances."""
    return _IDS.get(ending.rpartition("_")[2])


def read_ids(path: Path) -> npt.NDArray[np.uint8]:
    """Read an 8-bit PNG whose grey values or palette indices are ids, shape (height, width).

    Raises ValueError for a file that cannot be read, that holds colours or 16 bits, or whose palette hides the ids.
    """
    with named(path):
        _require_ids(path)
    with opened(path, formats=("PNG",)) as image:
        _require_plain_palette(path, image)
        require_whole(path, image)
        return np.asarray(image)


def to_train_ids(values: npt.NDArray[np.uint8], ids: Ids, path: Path) -> npt.NDArray[np.uint8]:
    """Ids as train ids; raises ValueError, naming the file they are from, for one out of range."""
    largest = NUM_CLASSES - 1 if ids == "train" else LARGEST_LABEL_ID
    wrong = (values > largest) & (values != VOID)
    if wrong.any():
        raise ValueError(
            f"{path}: {ids} ids must be 0 to {largest}, or {VOID} for void, got {values[wrong][0]}; "
            f"check whether these are Cityscapes {ids} ids"
        )
    return values if ids == "train" else label_id_to_train_id()[values]


def _require_ids(path: Path) -> None:
    """Check bit depth and colour type in the PNG header: Pillow silently rescales grey values of fewer than 8 bits."""
    begins = png.header(path)
    if begins is None:
        raise WrongKind(f"{path}: label images are PNG files, got another format; {_REMEDY}")
    if begins.colour not in (png.GREY, png.PALETTED):
        raise WrongKind(f"{path}: label images hold ids, got a colour image; {_REMEDY}")
    if begins.colour == png.GREY and begins.bits != 8:
        raise WrongKind(f"{path}: label images have 8 bits, got {begins.bits}; {_REMEDY}")


def _require_plain_palette(path: Path, image: Image.Image) -> None:
    """Refuse the short grey palettes of PNG optimisers: the ids are then its greys, and the indices mean nothing."""
    entries = np.array(image.getpalette() or (), int).reshape(-1, 3)
    grey = (entries == entries[:, :1]).all()
    if grey and 0 < len(entries) < 256 and (entries[:, 0] != np.arange(len(entries))).any():
        raise WrongKind(f"{path}: a palette's indices are the ids, got one of greys in another order; {_REMEDY}")
