"""Images on disk: paired with their labels by name, and read as RGB. Every error names the file."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from platform.shifts.files import png

IMAGE_ENDINGS = ("png", "jpg", "jpeg", "jpe", "jfif")
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
"""Pillow's names of the formats that are decoded, whatever a file's ending says. Others of its decoders start programs,
as that of PostScript does."""
MOST_PIXELS = 200_000_000
"""An image of a whole town has fewer; decoded, so many take 600 MB, and a file of some KB can claim them."""
NAMED = 3
"""Files without a partner that a message names."""

_BITS_PER_SAMPLE, _PHOTOMETRIC, _BLACK_IS_ZERO = 258, 262, 1
"""Tags of a TIFF file, and what the second holds for ordinary grey values."""
_TILE_WIDTH, _TILE_LENGTH = 322, 323
"""Tags of a TIFF file in tiles, each of which is decoded as a whole."""
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
    *(IndexError, KeyError, TypeError, OverflowError, MemoryError),
)
"""What Pillow raises for files that are not as their format wants them."""


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
        if image.mode in ("I", "F"):
            raise _no_range(path, f"mode {image.mode}")
        image.info.pop("transparency", None)  # alpha is dropped, of which Pillow would warn
        grey = _high_byte(path, image) if image.mode.startswith("I;16") else image
        require_whole(path, image)
        read = grey.convert("RGB")
        _require_range(path, image, read)
        return read


@contextmanager
def opened(path: Path, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    """An image file of one of these formats, to be decoded within; what fails raises ValueError, naming the file."""
    # A library may have asked Pillow to make up what a truncated file lacks.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    # Our own limit is asked below, before anything is decoded; Pillow's warns of half of what it lets through.
    Image.MAX_IMAGE_PIXELS = None
    with named(path):
        if path.stat().st_size > MOST_PIXELS * 8:
            raise ValueError("it is larger than any image")  # some of Pillow's decoders read all of a file at once
        with Image.open(path, formats=formats) as image:
            _require_bounded(path, image)
            yield image


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Have whatever is wrong with an image file raise ValueError, which names the file."""
    try:
        yield
    except WrongKind:
        raise
    except _BROKEN as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error).partition("\n")[0]
        raise ValueError(
            f"{path} cannot be read: {reason or type(error).__name__}; replace it with an intact copy, or, "
            "where other programs show it, save it there as an 8-bit PNG"
        ) from error


def _require_bounded(path: Path, image: Image.Image) -> None:
    """Refuse what would take more memory than an image may, by what the file says of its size."""
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        width = max(width, int(image.tag_v2.get(_TILE_WIDTH, 0)))
        height = max(height, int(image.tag_v2.get(_TILE_LENGTH, 0)))
    if width * height > MOST_PIXELS:
        raise WrongKind(
            f"{path}: images must have at most {MOST_PIXELS // 1_000_000} million pixels, got {width} x {height}; "
            "cut it into smaller ones, or replace it where it never had so many"
        )


def require_whole(path: Path, image: Image.Image) -> None:
    """Raise ValueError for a PNG file without all of its pixels, the rest of which Pillow leaves at zero."""
    if image.format == "PNG":
        image.load()
        last = image.crop((0, image.height - 1, image.width, image.height))
        if not any(last.tobytes()) and not png.is_whole(path):
            raise ValueError("its last lines are missing")


def _require_range(path: Path, image: Image.Image, read: Image.Image) -> None:
    """Refuse 16-bit files whose values all fit 12 bits, as cameras give them: they would be nearly black."""
    if 0 < np.asarray(read).max() < 16 and _bits(path, image) == 16:
        raise WrongKind(
            f"{path}: 16-bit images must use the range from 0 to 65535, got no value above 4095; save it as an 8-bit "
            "RGB PNG"
        )


def _bits(path: Path, image: Image.Image) -> int:
    """Bits of a channel in the file."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0])
    begins = png.header(path)
    return 8 if begins is None else begins.bits


def _high_byte(path: Path, image: Image.Image) -> Image.Image:
    """Grey values of 9 to 16 bits as 8 bits. Pillow's own conversion cuts everything above 255 off."""
    bits = _bits(path, image)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) != _BLACK_IS_ZERO:
        raise _no_range(path, f"{bits} bits, white as 0")
    return Image.fromarray((np.asarray(image) >> (bits - 8)).astype(np.uint8))


def _no_range(path: Path, what: str) -> WrongKind:
    return WrongKind(
        f"{path}: images must have 8 bits a channel, or 16 as PNG or TIFF, got {what}; save it as an 8-bit RGB PNG"
    )
