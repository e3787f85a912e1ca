"""GTA5 and Cityscapes as people have them on disk: other folders, capitals, links, leftovers, any name."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from platform.shifts import DataError, gta5_to_cityscapes
from tests.support.small_data_sets import write_gta5

SIZE = (16, 32)


def below(root: Path, archives: str) -> None:
    """Move Cityscapes' folders into those that archives were unpacked to."""
    for kind in ("leftImg8bit", "gtFine"):
        place = root / "cityscapes" / archives.format(kind=kind)
        place.mkdir(parents=True, exist_ok=True)
        (root / "cityscapes" / kind).rename(place / kind)


def capitals(root: Path) -> None:
    (root / "gta5").rename(root / "GTA5")
    (root / "cityscapes").rename(root / "Cityscapes")
    for path in list((root / "GTA5/images").iterdir()):
        path.rename(path.with_suffix(".PNG"))


def once_more(root: Path, place: str, name: str) -> None:
    """Move a folder into one more of its place's name."""
    (root / place).rename(root / "moved")
    (root / place).mkdir()
    (root / "moved").rename(root / place / name)


def in_folders_of_their_names(root: Path) -> None:
    for kind in ("images", "labels"):
        once_more(root, f"gta5/{kind}", kind)


def train_ids_beside(root: Path) -> None:
    for path in list((root / "gta5/labels").glob("*.png")):
        path.with_name(f"{path.stem}_labelTrainIds.png").write_bytes(b"of another project")


def leftovers(root: Path) -> None:
    for folder in ("gta5/images", "gta5/labels", "cityscapes/leftImg8bit/val/lindau", "cityscapes/gtFine/val"):
        (root / folder / "._00001.png").write_bytes(b"\0\5\26\7")
        (root / folder / ".ipynb_checkpoints").mkdir()
        (root / folder / ".ipynb_checkpoints/00001-checkpoint.png").write_bytes(b"")


def linked(root: Path) -> None:
    (root.parent / "store").mkdir()
    for folder in ("gta5/images", "cityscapes/gtFine", "cityscapes/leftImg8bit/train/ulm"):
        goal = root.parent / "store" / folder.replace("/", "-")
        (root / folder).rename(goal)
        (root / folder).symlink_to(goal)


LAYOUTS: dict[str, Callable[[Path], object]] = {
    "archives in folders of their names": lambda root: below(root, "{kind}_trainvaltest"),
    "Cityscapes below data": lambda root: below(root, "data"),
    "gta": lambda root: (root / "gta5").rename(root / "gta"),
    "capitals": capitals,
    "folders in folders of their names": in_folders_of_their_names,
    "in parts": lambda root: once_more(root, "gta5/images", "01_images"),
    "train ids beside label ids": train_ids_beside,
    "leftovers": leftovers,
    "links": linked,
    "capitals of splits": lambda root: [
        (root / f"cityscapes/{kind}/train").rename(root / f"cityscapes/{kind}/Train")
        for kind in ("gtFine", "leftImg8bit")
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_data_as_people_have_them_are_the_same_data(laid_out: Path, data: Path, layout: str) -> None:
    LAYOUTS[layout](data)
    shift = gta5_to_cityscapes(data, SIZE)
    shift.check()
    assert shift.identity() == gta5_to_cityscapes(laid_out, SIZE).identity()
    assert shift.open().source_val.images.names == ("00022", "00023")


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ("train ids beside label ids", r"gta5/labels: left out \*_labelTrainIds \(23\)"),
        ("leftovers", r"val: left out hidden files \(2\)"),
    ],
)
def test_what_is_left_out_is_said(data: Path, caplog: pytest.LogCaptureFixture, layout: str, said: str) -> None:
    LAYOUTS[layout](data)
    gta5_to_cityscapes(data, SIZE).check()
    assert re.search(said, caplog.text)
    once = caplog.text
    gta5_to_cityscapes(data, SIZE).identity()
    assert caplog.text == once, "and once is enough"


def test_jpegs_are_images_too(data: Path) -> None:
    for path in list((data / "gta5/images").glob("*.png")):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    assert len(gta5_to_cityscapes(data, SIZE).open().source_train) == 21


def test_file_names_may_be_any_bytes(data: Path) -> None:
    for number, name in enumerate((b"caf\xe9", b"two\nlines", b"e\xcc\x81"), start=24):
        write_gta5(data, f"{number:05}")
        for kind in ("images", "labels"):
            (data / f"gta5/{kind}/{number:05}.png").rename(data / "gta5" / kind / os.fsdecode(name + b".png"))
    shift = gta5_to_cityscapes(data, SIZE)
    assert shift.identity()["data"]
    assert len(shift.open().source_train) + len(shift.open().source_val) == 26


def test_a_folder_that_holds_something_else_is_described(data: Path) -> None:
    (data / "gta5/images").rename(data / "gta5/01_images")
    (data / "gta5/labels").rename(data / "gta5/01_labels")
    with pytest.raises(
        DataError, match=r"images must hold at least 2 images, got 0: \S+gta5 holds 01_images, 01_labels;"
    ):
        gta5_to_cityscapes(data, SIZE).check()
