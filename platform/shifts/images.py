"""Images and label images on disk: pair them by name, and read them. Every error names the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from platform.shifts.labels import LARGEST_LABEL_ID, NUM_CLASSES, VOID, label_id_to_train_id

Ids = Literal["train", "label"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTED = 0, 3
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for files that are truncated, damaged or not images at all."""


class Pair(NamedTuple):
    """An image and its labels."""

    name: str
    image: Path
    labels: Path


def pair(images: Mapping[str, Path], labels: Mapping[str, Path]) -> list[Pair]:
    """Pair files by name, in the order of names. Raises ValueError, which names the files without a partner."""
    if alone := sorted(images.keys() ^ labels.keys()):
        files = [str(images.get(name) or labels[name]) for name in alone]
        more = f" and {len(files) - 10} more" if len(files) > 10 else ""
        raise ValueError(
            f"images and label images are paired by name; without a partner: {', '.join(files[:10])}{more}; "
            "add what is missing, or move these files away"
        )
    return [Pair(name, images[name], labels[name]) for name in sorted(images)]


def read_image(path: Path) -> Image.Image:
    """Read an image as RGB. Raises ValueError for a file that cannot be read."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def read_labels(path: Path, ids: Ids = "label") -> npt.NDArray[np.uint8]:
    """Read an 8-bit PNG whose grey values or palette indices are ids, as train ids of shape (height, width).

    Raises ValueError for a file that cannot be read, that holds colours or 16 bits, or an id out of range.
    """
    try:
        with path.open("rb") as file:
            header = file.read(26)
        with Image.open(path) as image:
            values = np.asarray(image)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    _require_ids(path, header)

    largest = NUM_CLASSES - 1 if ids == "train" else LARGEST_LABEL_ID
    wrong = (values > largest) & (values != VOID)
    if wrong.any():
        raise ValueError(
            f"{path}: {ids} ids must be 0 to {largest}, or {VOID} for void, got {values[wrong][0]}; "
            f"check whether these are Cityscapes {ids} ids"
        )
    return values if ids == "train" else label_id_to_train_id()[values]


def _require_ids(path: Path, header: bytes) -> None:
    """Check bit depth and colour type in the PNG header: Pillow silently rescales grey values of fewer than 8 bits."""
    remedy = "save the ids as an 8-bit grey or paletted PNG"
    if not header.startswith(_SIGNATURE):
        raise ValueError(f"{path}: label images are PNG files, got another format; {remedy}")
    bits, colour = header[24:26]
    if colour not in (_GREY, _PALETTED):
        raise ValueError(f"{path}: label images hold ids, got a colour image; {remedy}")
    if colour == _GREY and bits != 8:
        raise ValueError(f"{path}: label images have 8 bits, got {bits}; {remedy}")


def _unreadable(path: Path, error: BaseException) -> ValueError:
    reason = (isinstance(error, OSError) and error.strerror) or str(error).partition("\n")[0] or type(error).__name__
    return ValueError(f"{path} cannot be read: {reason}; replace it with an intact copy")
