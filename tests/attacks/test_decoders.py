"""Images that want another program started, or more memory than there is: refused before anything is decoded."""

import io
import os
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from platform.shifts.files.images import FORMATS, read_image
from platform.shifts.files.label_images import read_ids

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) print\n%%EOF\n"
NO_IMAGE = r"cannot be read: cannot identify image file .*; replace it"


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)


def png(width: int, height: int, *chunks: bytes, pixels: bytes = b"", colour: int = 0) -> bytes:
    """A PNG file of 8 bits with chunks of its own before its pixels, which are compressed already."""
    head = width.to_bytes(4) + height.to_bytes(4) + bytes([8, colour, 0, 0, 0])
    body = b"".join([chunk(b"IHDR", head), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(tags: dict[int, int]) -> bytes:
    entries = b"".join(
        tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
        for tag, value in sorted(tags.items())
    )
    return b"II*\0" + (8).to_bytes(4, "little") + len(tags).to_bytes(2, "little") + entries + bytes(4) + bytes(64)


def bmp(width: int, height: int) -> bytes:
    size = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    return b"BM" + bytes(8) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little") + size + b"\1\0\x18\0" + bytes(24)


def webp(side: int) -> bytes:
    extended = bytes(4) + (side - 1).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + (10).to_bytes(4, "little") + extended
    return b"RIFF" + len(body).to_bytes(4, "little") + body


BOMB = zlib.compress(bytes(50_000_000), 9)
"""50 KB that become 50 MB."""
TILED = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1, 322: 1 << 20, 323: 1 << 20, 324: 8, 325: 16}


@pytest.mark.parametrize("read", [read_image, read_ids])
@pytest.mark.parametrize("before", [b"", b"\xc5\xd0\xd3\xc6" + (32).to_bytes(4, "little") + bytes(24)])
def test_no_image_starts_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], before: bytes
) -> None:
    """Pillow decodes PostScript by Ghostscript, whatever the file is called."""
    started = tmp_path / "started"
    for name in ("gs", "gswin32c", "gswin64c"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {started}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "a.png").write_bytes(before + POSTSCRIPT)
    with pytest.raises(ValueError, match=f"{NO_IMAGE}|label images are PNG files"):
        read(tmp_path / "a.png")
    assert not started.exists()


@pytest.mark.parametrize("form", ["GIF", "PPM", "PCX", "ICO", "TGA", "DDS", "JPEG2000", "SGI", "IM", "PDF", "SPIDER"])
def test_formats_that_no_layout_names_are_refused(tmp_path: Path, form: str) -> None:
    # SPIDER would take the ending of a file that it saves for its own from then on.
    Image.new("F" if form == "SPIDER" else "RGB", (16, 16)).save(tmp_path / "a.other", form)
    (tmp_path / "a.other").rename(tmp_path / "a.png")
    with pytest.raises(ValueError, match=NO_IMAGE):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("form", FORMATS)
def test_label_images_are_decoded_as_png_only(tmp_path: Path, form: str) -> None:
    Image.new("L", (16, 16)).save(tmp_path / "a.png", form)
    if form == "PNG":
        assert read_ids(tmp_path / "a.png").shape == (16, 16)
    else:
        with pytest.raises(ValueError, match=r"a\.png: label images are PNG files, got another format"):
            read_ids(tmp_path / "a.png")


def test_a_jpeg_of_several_pictures_is_a_jpeg(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), "white").save(
        tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (16, 16))]
    )
    assert np.asarray(read_image(tmp_path / "a.jpg")).min() > 250


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (png(100_000, 100_000), "100000 x 100000"),
        (png(14_143, 14_143), "14143 x 14143"),
        (png(2**31 - 1, 2**31 - 1), "2147483647 x 2147483647"),
        (bmp(50_000, 50_000), "50000 x 50000"),
        (tiff({256: 100_000, 257: 100_000, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1}), "100000 x 100000"),
        (tiff(TILED), "1048576 x 1048576"),
    ],
    ids=["PNG", "PNG just above", "PNG without end", "BMP", "TIFF", "tiles of a TIFF"],
)
def test_an_image_that_claims_too_many_pixels_is_refused(tmp_path: Path, content: bytes, got: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises(ValueError, match=rf"a\.png: images must have at most 200 million pixels, got {got}; cut it"),
    ):
        read_image(tmp_path / "a.png")


def test_a_label_image_that_claims_too_many_pixels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(100_000, 100_000))
    with pytest.raises(ValueError, match="at most 200 million pixels, got 100000 x 100000"):
        read_ids(tmp_path / "a.png")


def test_a_webp_without_an_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(webp(1 << 24))
    with pytest.raises(ValueError, match=r"a\.png"):
        read_image(tmp_path / "a.png")


def test_a_large_image_is_read_without_a_warning(tmp_path: Path) -> None:
    """Pillow would warn of it: a scan of 100 million pixels is no attack."""
    (tmp_path / "a.png").write_bytes(png(10_000, 10_000))
    with warnings.catch_warnings(action="error"), pytest.raises(ValueError, match="truncated"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("head", [b"", webp(16)[:12]], ids=["nothing", "WebP"])
def test_a_file_that_is_larger_than_any_image_is_not_read(tmp_path: Path, head: bytes) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.write(head)
        file.truncate(100 << 30)
    with pytest.raises(ValueError, match="it is larger than any image; replace it"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "content",
    [
        png(8, 8, chunk(b"zTXt", b"Comment\0\0" + BOMB), pixels=zlib.compress(bytes(72))),
        png(8, 8, chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB), pixels=zlib.compress(bytes(72))),
        png(8, 8, chunk(b"iCCP", b"icc\0\0" + BOMB), pixels=zlib.compress(bytes(72))),
        png(8, 8, pixels=BOMB),
        png(8, 8, chunk(b"acTL", (2**31 - 1).to_bytes(4) + bytes(4)), pixels=zlib.compress(bytes(72))),
    ],
    ids=["text", "international text", "profile", "pixels", "frames"],
)
@pytest.mark.parametrize("read", [read_image, read_ids])
def test_what_a_png_holds_besides_is_not_unfolded(
    tmp_path: Path, content: bytes, read: Callable[[Path], object]
) -> None:
    (tmp_path / "a.png").write_bytes(content)
    tracemalloc.start()
    try:
        read(tmp_path / "a.png")
    except ValueError as error:
        assert "too large" in str(error)  # noqa: PT017 - chunks that Pillow reads are refused, others are passed over
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 10_000_000


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("size", [1, 7, 300, 100_000])
def test_files_that_break_off_or_repeat_themselves_are_refused_or_read(tmp_path: Path, size: int) -> None:
    """None of Pillow's own errors comes through, whatever it stumbles over."""
    random = np.random.default_rng(size)
    picture = Image.fromarray(random.integers(0, 255, (16, 16, 3), np.uint8))
    for form in FORMATS:
        buffer = io.BytesIO()
        picture.save(buffer, form)
        for _ in range(60):
            content = bytearray(buffer.getvalue()[: size + 30])
            for place in random.integers(0, len(content), 4):
                content[place] = random.integers(0, 256)
            (tmp_path / "a.png").write_bytes(content)
            for read in (read_image, read_ids):
                try:
                    read(tmp_path / "a.png")
                except ValueError as error:
                    assert "a.png" in str(error)  # noqa: PT017 - most are refused, and some are images still
