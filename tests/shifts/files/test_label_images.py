"""Label images: the ids that a file holds, never colours, never rescaled, and what its name says of them."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from platform.shifts.files.label_images import ids_of, kind_of, read_ids, to_train_ids
from platform.shifts.labels import VOID

IDS = np.array([[0, 7, 11], [26, 33, 255]], np.uint8)


def paletted(colours: list[int], transparency: bytes | None = None) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        image = Image.fromarray(IDS % 4)
        image.putpalette(colours)
        if transparency is not None:
            image.info["transparency"] = transparency
        image.save(path)

    return save


COLOURS = [128, 64, 128, 244, 35, 232, 70, 70, 70, 102, 102, 156]


def test_grey_values_are_ids(tmp_path: Path) -> None:
    Image.fromarray(IDS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), IDS)


@pytest.mark.parametrize(
    "save",
    [
        paletted(COLOURS),
        paletted(COLOURS, bytes([0, 255, 128])),
        paletted([value for grey in range(4) for value in (grey,) * 3]),
        paletted([value for grey in range(255, -1, -1) for value in (grey,) * 3]),
    ],
    ids=["colours", "transparency", "greys in order", "a whole palette of greys"],
)
def test_palette_indices_are_ids(tmp_path: Path, save: Callable[[Path], None]) -> None:
    save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), IDS % 4)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a palette that an optimiser made of grey ids": (
        paletted([7] * 3 + [26] * 3 + [11] * 3 + [0] * 3),
        "got one of greys",
    ),
    "RGB": (lambda path: Image.new("RGB", (3, 2)).save(path), "got a colour image"),
    "RGBA": (lambda path: Image.new("RGBA", (3, 2)).save(path), "got a colour image"),
    "grey and alpha": (lambda path: Image.new("LA", (3, 2)).save(path), "got a colour image"),
    "16 bits": (lambda path: Image.new("I;16", (3, 2)).save(path), "have 8 bits, got 16"),
    "1 bit": (lambda path: Image.new("1", (3, 2)).save(path), "have 8 bits, got 1"),
    "JPEG, whatever its name": (lambda path: Image.new("L", (3, 2)).save(path, "JPEG"), "are PNG files"),
    "TIFF": (lambda path: Image.new("L", (3, 2)).save(path, "TIFF"), "are PNG files"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_holds_no_ids_is_refused_with_the_remedy(tmp_path: Path, case: str) -> None:
    save, rule = REFUSED[case]
    save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=rf"^\S+a\.png: .*{rule}.*; save the ids as an 8-bit grey or paletted PNG$"):
        read_ids(tmp_path / "a.png")


def test_a_truncated_label_image_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 34, (64, 64), np.uint8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.png cannot be read: .*truncated"):
        read_ids(tmp_path / "a.png")


def test_label_ids_become_train_ids() -> None:
    np.testing.assert_array_equal(to_train_ids(IDS, "label", Path("a")), [[VOID, 0, 2], [13, 18, VOID]])
    np.testing.assert_array_equal(to_train_ids(IDS % 19, "train", Path("a")), IDS % 19)


@pytest.mark.parametrize(("ids", "wrong", "largest"), [("label", 35, 34), ("train", 19, 18)])
def test_ids_out_of_range_are_refused(ids: str, wrong: int, largest: int) -> None:
    rule = f"a.png: {ids} ids must be 0 to {largest}, or 255 for void, got {wrong}; check"
    with pytest.raises(ValueError, match=re.escape(rule)):
        to_train_ids(np.array([[0, wrong]], np.uint8), "label" if ids == "label" else "train", Path("a.png"))


@pytest.mark.parametrize(
    ("stem", "name", "ids"),
    [
        ("ulm/ulm_000000_000019_gtFine_labelIds", "ulm/ulm_000000_000019", "label"),
        ("ulm_000000_000019_gtFine_labelTrainIds", "ulm_000000_000019", "train"),
        ("00001_labelTrainIds", "00001", "train"),
        ("GOPR0122_frame_000161_gt_labelIds", "GOPR0122_frame_000161", "label"),
        ("ulm_000000_000019_gtFine_color", "ulm_000000_000019", None),
        ("ulm_000000_000019_gtFine_instanceIds", "ulm_000000_000019", None),
        ("ulm_000000_000019_leftImg8bit_color", "ulm_000000_000019_leftImg8bit", None),
        ("00001", "00001", None),
    ],
)
def test_names_say_which_ids_a_file_holds(stem: str, name: str, ids: str | None) -> None:
    without, ending = kind_of(stem)
    assert (without, ids_of(ending)) == (name, ids)
    assert without + ending == stem
