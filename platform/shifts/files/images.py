"""Images on disk: paired with their labels by name, and read as RGB. Every error names the file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

IMAGE_ENDINGS = ("png", "jpg", "jpeg")
NAMED = 3
"""Files without a partner that a message names."""

_BITS_PER_SAMPLE, _PHOTOMETRIC, _BLACK_IS_ZERO = 258, 262, 1
"""Tags of a TIFF file, and what the second holds for ordinary grey values."""


class Pair(NamedTuple):
    """An image and its labels."""

    name: str
    image: Path
    labels: Path


def pair(images: Mapping[str, Path], labels: Mapping[str, Path]) -> list[Pair]:
    """Pair files by name, in the order of names. Raises ValueError, which names the files without a partner."""
    if alone := sorted(images.keys() ^ labels.keys()):
        files = [str(images.get(name) or labels[name]) for name in alone]
        more = f" and {len(files) - NAMED:,} more" if len(files) > NAMED else ""
        raise ValueError(
            f"images and label images are paired by name; without a partner: {', '.join(files[:NAMED])}{more}; "
            "add what is missing, or move these files away"
        )
    return [Pair(name, images[name], labels[name]) for name in sorted(images)]


class WrongKind(ValueError):
    """An intact file that is not what it should be; the message names it."""


def read_image(path: Path) -> Image.Image:
    """Read an image as 8-bit RGB: of deeper ones the high byte, of several frames the first, without alpha.

    Raises ValueError for a file that cannot be read, or whose values have no range of their own (32 bits, floats).
    """
    with opened(path) as image:
        if image.mode.startswith("I;16"):
            return _high_byte(path, image).convert("RGB")
        if image.mode in ("I", "F"):
            raise _no_range(path, f"mode {image.mode}")
        image.info.pop("transparency", None)  # alpha is dropped, of which Pillow would warn
        return image.convert("RGB")


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file, to be decoded within; what fails then raises ValueError, which names the file."""
    # A library may have asked Pillow to make up what a truncated file lacks.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with Image.open(path) as image:
            yield image
    except WrongKind:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error).partition("\n")[0]
        raise ValueError(
            f"{path} cannot be read: {reason or type(error).__name__}; replace it with an intact copy, or, "
            "where other programs show it, save it there as an 8-bit PNG"
        ) from error


def _high_byte(path: Path, image: Image.Image) -> Image.Image:
    """Grey values of 9 to 16 bits as 8 bits. Pillow's own conversion cuts everything above 255 off."""
    bits = 16
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0]
        if image.tag_v2.get(_PHOTOMETRIC) != _BLACK_IS_ZERO:
            raise _no_range(path, f"{bits} bits, white as 0")
    return Image.fromarray((np.asarray(image) >> (bits - 8)).astype(np.uint8))


def _no_range(path: Path, what: str) -> WrongKind:
    return WrongKind(
        f"{path}: images must have 8 bits a channel, or 16 as PNG or TIFF, got {what}; save it as an 8-bit RGB PNG"
    )
