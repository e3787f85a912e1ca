"""Label images that are intact and wrong: ids of another coding, and splits without classes to tell apart."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from platform.shifts import DataError, gta5_to_cityscapes
from platform.shifts.labels import label_id_to_train_id

SIZE = (16, 32)


def test_train_ids_in_the_place_of_label_ids_are_refused(data: Path) -> None:
    train_ids = label_id_to_train_id()
    for path in (data / "cityscapes/gtFine/train").rglob("*_labelIds.png"):
        Image.fromarray(train_ids[np.asarray(Image.open(path))]).save(path)
    with pytest.raises(DataError, match=r"gtFine/train must hold Cityscapes label ids .* like Cityscapes train ids"):
        gta5_to_cityscapes(data, SIZE).open()


def test_one_file_of_train_ids_among_label_ids_is_named(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = data / "cityscapes/gtFine/train/ulm/ulm_000002_000019_gtFine_labelIds.png"
    for kind in ("leftImg8bit", "gtFine_labelIds"):
        one = Path(str(path).replace("gtFine_labelIds", kind).replace("/gtFine/", f"/{kind.split('_')[0]}/"))
        Image.open(one).resize((640, 320), Image.Resampling.NEAREST).save(one)
    Image.fromarray(label_id_to_train_id()[np.asarray(Image.open(path))]).save(path)
    gta5_to_cityscapes(data, SIZE).open()
    rule = r"ulm_000002\S+ should hold Cityscapes label ids .* like Cityscapes train ids .*: see whether it is right"
    assert re.search(rule, caplog.text)


def test_test_images_that_are_in_train_as_well_are_said(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    gta5_to_cityscapes(data, SIZE).open()
    assert caplog.text == ""
    for kind in ("leftImg8bit", "gtFine"):
        (data / "cityscapes" / kind / "train/lindau").symlink_to(data / "cityscapes" / kind / "val/lindau")
    gta5_to_cityscapes(data, SIZE).open()
    assert "test images that are in train as well, copied or linked (3)" in caplog.text


@pytest.mark.parametrize(("value", "got"), [(0, "none"), (7, "road")])
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_of_no_class_or_of_one_is_refused_with_its_folder(data: Path, split: str, value: int, got: str) -> None:
    for path in (data / "cityscapes/gtFine" / split).rglob("*_labelIds.png"):
        Image.new("L", (64, 32), value).save(path)
    rule = rf"gtFine/{split}: the labels of target\.\w+ must hold two evaluated classes or more, got {got}; the shift"
    with pytest.raises(DataError, match=rule):
        gta5_to_cityscapes(data, SIZE).open()


def test_groups_that_a_split_lacks_are_refused_also_when_others_were_decoded(data: Path) -> None:
    for path in (data / "gta5/labels").glob("*.png"):
        Image.fromarray(np.resize([[7, 8]], (16, 24)).astype(np.uint8)).save(path)
    gta5_to_cityscapes(data, SIZE).open()
    with pytest.raises(DataError, match=r"gta5/labels: the labels of source\.train .*, got none; the shift evaluates"):
        gta5_to_cityscapes(data, SIZE, groups=((2,), (13,))).open()
