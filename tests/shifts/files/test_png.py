"""PNG files whose header promises more pixels than there are, and all others, which are whole."""

import itertools
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from platform.shifts.files.images import read_image
from platform.shifts.files.label_images import read_ids
from platform.shifts.files.png import Header, is_whole
from tests.support.png_bytes import png


@pytest.mark.parametrize(
    ("read", "colour"), [(read_ids, 0), (read_image, 0), (read_image, 2), (read_image, 4), (read_image, 6)]
)
def test_a_png_whose_pixels_end_too_early_is_refused(
    tmp_path: Path, read: Callable[[Path], object], colour: int
) -> None:
    """Its writer died, or its header is of another file; every checksum is right, and Pillow leaves the rest black."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    rows = np.full((64, 64 * channels), 7)
    png(tmp_path / "whole.png", 8, colour, rows)
    read(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    taller = (64).to_bytes(4) + (96).to_bytes(4) + content[24:29]
    header = b"IHDR" + taller
    (tmp_path / "a.png").write_bytes(content[:12] + header + zlib.crc32(header).to_bytes(4) + content[33:])
    with pytest.raises(
        ValueError, match=r"a\.png cannot be read: its last lines are missing; replace it with an intact"
    ):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 9), (64, 33)])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_black_png_is_whole(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    Image.new(mode, size).save(tmp_path / "a.png")
    assert is_whole(tmp_path / "a.png")
    assert not np.asarray(read_image(tmp_path / "a.png")).any()


def test_the_length_of_interlaced_pixels() -> None:
    """Counted pixel by pixel, by the table of the standard that says in which pass each is."""
    order = ["16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777"]
    for width, height, bits, colour in itertools.product(range(1, 20), (1, 5, 8, 13), (1, 8, 16), (0, 2)):
        if colour == 2 and bits == 1:
            continue
        expected = 0
        for number in "1234567":
            rows = [sum(order[y % 8][x % 8] == number for x in range(width)) for y in range(height)]
            expected += sum(1 + -(-pixels * bits * (3 if colour == 2 else 1) // 8) for pixels in rows if pixels)
        assert Header(width, height, bits, colour, interlaced=True).length == expected
