"""What a PNG file says of itself that Pillow does not tell: its depth, and whether all of its pixels are there."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, PALETTED = 0, 3
"""Colour types whose one channel may be ids."""
CHANNELS = {GREY: 1, 2: 3, PALETTED: 1, 4: 2, 6: 4}
"""Values of a pixel, by the colour type."""
INTERLACED = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""First column and row, and the steps between columns and rows, of the seven passes of an interlaced file."""
AT_ONCE = 1 << 20
"""Bytes of pixels that are decompressed at a time."""


class Header(NamedTuple):
    """The beginning of a PNG file."""

    width: int
    height: int
    bits: int
    """Of a channel."""
    colour: int
    interlaced: bool

    @property
    def length(self) -> int:
        """The bytes of its pixels before compression, with one more in front of each line."""
        passes = INTERLACED if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for column, row, across, down in passes:
            columns, rows = -(-(self.width - column) // across), -(-(self.height - row) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * self.bits * CHANNELS[self.colour] // 8))
        return total


def header(path: Path) -> Header | None:
    """The header of a PNG file; None for a file of another kind."""
    with path.open("rb") as file:
        begins = file.read(29)
    if not begins.startswith(SIGNATURE) or len(begins) < 29 or begins[25] not in CHANNELS:
        return None
    size = int.from_bytes(begins[16:20]), int.from_bytes(begins[20:24])
    return Header(*size, begins[24], begins[25], bool(begins[28]))


def is_whole(path: Path) -> bool:
    """Whether a PNG file that was decoded holds all the pixels that its header promises: Pillow makes up the rest."""
    begins = header(path)
    if begins is None:
        return True
    inflate, missing = zlib.decompressobj(), begins.length
    for part in _compressed(path):
        # No more than is missing: what a file holds beyond that may be a thousand times its size.
        while missing > 0 and part:
            missing -= len(inflate.decompress(part, min(missing, AT_ONCE)))
            part = inflate.unconsumed_tail
    return missing <= 0 or len(inflate.flush()) >= missing


def _compressed(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(len(SIGNATURE))
        while len(begins := file.read(8)) == 8:
            size, kind = int.from_bytes(begins[:4]), begins[4:]
            if kind == b"IDAT":
                yield file.read(size)
                file.seek(4, 1)
            else:
                file.seek(size + 4, 1)
