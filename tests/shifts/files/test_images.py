"""Every kind of image that Pillow opens, with the right value or a refusal that names the file."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin

from platform.shifts.files.images import pair, read_image
from tests.support.png_bytes import png

RAMP = np.tile(np.arange(256), (4, 1))
"""Every grey level once in a row."""
GAMMA = PngImagePlugin.PngInfo()
GAMMA.add(b"gAMA", (22727).to_bytes(4))


def grey(path: Path) -> npt.NDArray[np.uint8]:
    """The image's values, which are the same in all three channels."""
    image = np.asarray(read_image(path))
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    np.testing.assert_array_equal(image[..., 0], image[..., 1])
    np.testing.assert_array_equal(image[..., 0], image[..., 2])
    return image[..., 0]


def interleaved(*channels: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    return np.stack(channels, axis=-1).reshape(len(channels[0]), -1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_of_every_depth_spans_black_to_white(tmp_path: Path, bits: int) -> None:
    levels = np.tile(np.linspace(0, 2**bits - 1, 256).astype(int), (4, 1))
    png(tmp_path / "a.png", bits, 0, levels)
    expected = levels >> 8 if bits == 16 else levels * 255 // (2**bits - 1)
    np.testing.assert_array_equal(grey(tmp_path / "a.png"), expected)


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 1), (6, 3)], ids=["RGB", "grey and alpha", "RGBA"])
@pytest.mark.parametrize("bits", [8, 16])
def test_deeper_channels_keep_their_high_byte_and_alpha_is_dropped(
    tmp_path: Path, colour: int, channels: int, bits: int
) -> None:
    value = RAMP * 257 if bits == 16 else RAMP
    alpha = [np.full_like(RAMP, 2 ** (bits - 1))] if colour in (4, 6) else []
    png(tmp_path / "a.png", bits, colour, interleaved(*[value] * channels, *alpha))
    np.testing.assert_array_equal(grey(tmp_path / "a.png"), RAMP)


def test_twelve_bit_values_that_fill_sixteen_bits_are_no_white(tmp_path: Path) -> None:
    twelve = np.tile(np.linspace(0, 4095, 256).astype(np.uint16), (4, 1))
    Image.fromarray(twelve * 16).save(tmp_path / "a.png")
    np.testing.assert_array_equal(grey(tmp_path / "a.png"), twelve >> 4)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_twelve_bit_values_in_sixteen_bits_are_refused(tmp_path: Path, form: str, channels: int) -> None:
    """As many cameras give them: of the high byte they fill a sixteenth, which would be nearly black."""
    twelve = interleaved(*[np.tile(np.linspace(0, 4095, 256).astype(int), (4, 1))] * channels)
    if form == "PNG":
        png(tmp_path / "a.png", 16, 0 if channels == 1 else 2, twelve)
    else:
        tiff(tmp_path / "a.png", 16, 1 if channels == 1 else 2, channels, twelve)
    with pytest.raises(ValueError, match=r"must use the range from 0 to 65535, got no value above 4095; save it as"):
        read_image(tmp_path / "a.png")


def test_a_frame_of_night_is_no_frame_of_twelve_bits(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 9).save(tmp_path / "a.png")
    png(tmp_path / "b.png", 16, 0, np.zeros((4, 4), int))
    assert (grey(tmp_path / "a.png") == 9).all()
    assert (grey(tmp_path / "b.png") == 0).all()


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bit_grey_tiff_in_either_byte_order(tmp_path: Path, order: str) -> None:
    Image.fromarray((RAMP * 257).astype(order)).save(tmp_path / "a.png", "TIFF")
    np.testing.assert_array_equal(grey(tmp_path / "a.png"), RAMP)


def tiff(path: Path, bits: int, photometric: int, channels: int, samples: npt.NDArray[np.integer]) -> None:
    """Write a TIFF byte by byte, little-endian. `samples` has one row per line."""
    rows = [np.packbits([[int(bit) for bit in f"{value:0{bits}b}"] for value in row]).tobytes() for row in samples]
    content = samples.astype("<u2").tobytes() if bits == 16 else b"".join(rows)
    depths = bits.to_bytes(2, "little") * channels
    tags = {256: samples.shape[1] // channels, 257: len(rows), 258: bits, 259: 1, 262: photometric, 273: 8}
    tags |= {277: channels, 278: len(rows), 279: len(content)}
    if (photometric, channels) == (2, 4):
        tags[338] = 2  # the fourth is alpha
    entries = b""
    for tag, value in tags.items():
        count = channels if tag == 258 else 1
        where = 8 + len(content) if count > 2 else value
        entries += tag.to_bytes(2, "little") + (3).to_bytes(2, "little")
        entries += count.to_bytes(4, "little") + where.to_bytes(4, "little")
    head = b"II*\0" + (8 + len(content) + len(depths)).to_bytes(4, "little")
    path.write_bytes(head + content + depths + len(tags).to_bytes(2, "little") + entries + bytes(4))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_grey_tiff_of_every_depth_spans_black_to_white(tmp_path: Path, bits: int) -> None:
    levels = np.tile(np.linspace(0, 2**bits - 1, 256).astype(int), (4, 1))
    tiff(tmp_path / "a.png", bits, 1, 1, levels)
    expected = levels >> (bits - 8) if bits > 8 else levels * 255 // (2**bits - 1)
    np.testing.assert_array_equal(grey(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("channels", [3, 4], ids=["RGB", "RGBA"])
@pytest.mark.parametrize("bits", [8, 16])
def test_channels_of_a_tiff_keep_their_high_byte(tmp_path: Path, bits: int, channels: int) -> None:
    value = RAMP * 257 if bits == 16 else RAMP
    alpha = [np.full_like(RAMP, 2**bits - 1)] * (channels - 3)
    tiff(tmp_path / "a.png", bits, 2, channels, interleaved(*[value] * 3, *alpha))
    np.testing.assert_array_equal(grey(tmp_path / "a.png"), RAMP)


@pytest.mark.parametrize("bits", [8, 16])
def test_cmyk_tiff_of_either_depth(tmp_path: Path, bits: int) -> None:
    ink = (255 - RAMP) * (257 if bits == 16 else 1)
    tiff(tmp_path / "a.png", bits, 5, 4, interleaved(*[np.zeros_like(ink)] * 3, ink))
    np.testing.assert_array_equal(grey(tmp_path / "a.png"), RAMP)


SAME_GREY: dict[str, Callable[[Image.Image], tuple[Image.Image, str, dict[str, object]]]] = {
    "grey TIFF": lambda image: (image, "TIFF", {}),
    "RGB TIFF": lambda image: (image.convert("RGB"), "TIFF", {}),
    "YCbCr TIFF": lambda image: (image.convert("YCbCr"), "TIFF", {}),
    "LZW TIFF": lambda image: (image.convert("RGB"), "TIFF", {"compression": "tiff_lzw"}),
    "pages of a TIFF: the first": lambda image: (
        image,
        "TIFF",
        {"save_all": True, "append_images": [Image.new("L", image.size)]},
    ),
    "frames of an APNG: the first": lambda image: (
        image,
        "PNG",
        {"save_all": True, "append_images": [Image.new("L", image.size)]},
    ),
    "palette": lambda image: (image.convert("P"), "PNG", {}),
    "palette and transparency": lambda image: (image.convert("P"), "PNG", {"transparency": bytes([0, 128, 255])}),
    "grey and transparency": lambda image: (image, "PNG", {"transparency": 7}),
    "RGBA that shows nothing": lambda image: (
        Image.merge("RGBA", (image,) * 3 + (Image.new("L", image.size),)),
        "PNG",
        {},
    ),
    "CMYK": lambda image: (
        Image.merge("CMYK", (Image.new("L", image.size),) * 3 + (image.point(lambda v: 255 - v),)),
        "TIFF",
        {},
    ),
    "gamma that nobody applies": lambda image: (image, "PNG", {"pnginfo": GAMMA}),
    "BMP": lambda image: (image, "BMP", {}),
    "lossless WebP": lambda image: (image.convert("RGB"), "WEBP", {"lossless": True}),
}


@pytest.mark.parametrize("kind", SAME_GREY)
def test_other_modes_and_formats_whatever_the_ending_says(tmp_path: Path, kind: str) -> None:
    image, form, options = SAME_GREY[kind](Image.fromarray(RAMP.astype(np.uint8)))
    image.save(tmp_path / "a.png", form, **options)
    np.testing.assert_array_equal(grey(tmp_path / "a.png"), RAMP)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_of_every_mode_is_read_to_its_own_precision(tmp_path: Path, mode: str) -> None:
    smooth = Image.fromarray(np.tile(np.linspace(30, 220, 64).astype(np.uint8), (64, 1))).convert(mode)
    smooth.save(tmp_path / "a.png", "JPEG", quality=100, subsampling=0)
    np.testing.assert_allclose(
        np.asarray(read_image(tmp_path / "a.png"), int), np.asarray(smooth.convert("RGB"), int), atol=3
    )


def test_pixels_are_those_of_the_file_whatever_its_orientation_says(tmp_path: Path) -> None:
    image = Image.fromarray(RAMP.astype(np.uint8)).convert("RGB")
    orientation = Image.Exif()
    orientation[0x0112] = 6
    for form in ("JPEG", "PNG"):
        image.save(tmp_path / "a.jpg", form, exif=orientation, quality=100)
        assert read_image(tmp_path / "a.jpg").size == image.size


def test_lab_tiff(tmp_path: Path) -> None:
    """CIE's lightness to the luminance Y, and that to sRGB's grey."""
    lightness = Image.fromarray(RAMP.astype(np.uint8))
    neutral = Image.new("L", lightness.size, 128)
    Image.merge("LAB", (lightness, neutral, neutral)).save(tmp_path / "a.png", "TIFF")
    share = RAMP / 255 * 100
    luminance = np.where(share > 8, ((share + 16) / 116) ** 3, share / 903.3)
    expected = np.where(luminance > 0.0031308, 1.055 * luminance ** (1 / 2.4) - 0.055, 12.92 * luminance) * 255
    image = np.asarray(read_image(tmp_path / "a.png"))
    np.testing.assert_allclose(image, np.stack([expected] * 3, axis=-1), atol=3)


@pytest.mark.parametrize(
    ("mode", "got"),
    [("I", "mode I"), ("F", "mode F")],
)
def test_values_without_a_range_of_their_own_are_refused(tmp_path: Path, mode: str, got: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "a.png", "TIFF")
    with pytest.raises(
        ValueError,
        match=rf"a\.png: images must have 8 bits a channel, or 16 as PNG or TIFF, got {got}; save it as an 8-bit RGB",
    ):
        read_image(tmp_path / "a.png")


def test_sixteen_bits_whose_white_is_zero_are_refused(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    Image.fromarray((RAMP * 257).astype(np.uint16)).save(tmp_path / "a.png", "TIFF", tiffinfo=tags)
    with pytest.raises(ValueError, match="got 16 bits, white as 0; save"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("lenient", [False, True], ids=["", "although a library wants them completed"])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_truncated_image_is_refused(
    tmp_path: Path, form: str, lenient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(buffer, form)
    (tmp_path / "a.png").write_bytes(buffer.getvalue()[:2000])
    with pytest.raises(ValueError, match=r"a\.png cannot be read: .*truncated.*; replace it with an intact copy"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "cannot identify"), (b"<html>", "cannot identify"), (None, "No such file")],
    ids=["empty", "a web page", "missing"],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.png cannot be read: {reason}.*; replace it"):
        read_image(tmp_path / "a.png")


def test_of_many_files_without_a_partner_three_are_named() -> None:
    images = {f"{number}": Path(f"images/{number}.png") for number in range(9)}
    with pytest.raises(ValueError, match=r"partner: images/1\.png, images/2\.png, images/3\.png and 5 more; add"):
        pair(images, {"0": Path("labels/0.png")})
