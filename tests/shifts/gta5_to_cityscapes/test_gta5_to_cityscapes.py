"""GTA5 to Cityscapes from files: splits, pixels, labels, identity, and every file that is refused by name."""

import dataclasses
import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from platform.records.provenance import ROOT
from platform.shifts import DataError, gta5_to_cityscapes, town
from platform.shifts.files import decoding
from platform.shifts.gta5_to_cityscapes.gta5 import KNOWN_MISSING
from platform.shifts.labels import CAMVID_11, SINGLE_CLASSES, VOID, label_id_to_train_id
from tests.support.arrays import all_of
from tests.support.batches import unlabelled_batch
from tests.support.small_data_sets import write_cityscapes, write_gta5

REAL = ROOT / ".." / "shared" / "data"


SIZE = (16, 32)
GTA5 = "gta5/labels/00007.png"
TRAIN = "cityscapes/gtFine/train/ulm/ulm_000002_000019_gtFine_labelIds.png"
TEST = "cityscapes/gtFine/val/lindau/lindau_000001_000019_gtFine_labelIds.png"


def test_splits_are_blocks_of_names_in_order(laid_out: Path) -> None:
    splits = gta5_to_cityscapes(laid_out, SIZE).open()
    assert splits.source_train.images.names == tuple(f"{number:05}" for number in range(1, 22))
    assert splits.source_val.images.names == ("00022", "00023")
    train = [f"{city}/{city}_{number:06}_000019" for city in ("aachen", "ulm") for number in range(6)]
    assert splits.target_adapt.names == tuple(train[:-1])
    assert splits.target_val.names == tuple(train[-1:])
    assert splits.oracle.adapt.images.names == splits.target_adapt.names
    assert splits.oracle.val.images.names == splits.target_val.names
    assert splits.oracle.test.images.names == tuple(f"lindau/lindau_{number:06}_000019" for number in range(3))


def test_at_most_250_frames_are_held_out(laid_out: Path, tmp_path: Path) -> None:
    shutil.copytree(laid_out / "cityscapes", tmp_path / "many" / "cityscapes")
    for kind in ("images", "labels"):
        (tmp_path / "many/gta5" / kind).mkdir(parents=True)
        for number in range(1, 2602):
            source = laid_out / "gta5" / kind / "00001.png"
            (tmp_path / "many/gta5" / kind / f"{20000 + number}.png").symlink_to(source)
    splits = gta5_to_cityscapes(tmp_path / "many", (4, 6)).open()
    assert (len(splits.source_train), len(splits.source_val)) == (2351, 250)


def test_pixels_and_labels_are_those_of_the_files(laid_out: Path) -> None:
    splits = gta5_to_cityscapes(laid_out, SIZE).open()
    image = Image.open(laid_out / "cityscapes/leftImg8bit/val/lindau/lindau_000001_000019_leftImg8bit.png")
    truth = label_id_to_train_id()[np.asarray(Image.open(laid_out / TEST))]
    test = splits.oracle.test
    assert (test.images.pixels.shape, test.labels.shape) == ((3, 16, 32, 3), (3, 32, 64))
    np.testing.assert_array_equal(all_of(test.labels)[1], truth)

    # Halved by an antialiased triangle: four taps at weights 1, 3, 3, 1 on each axis, away from the border.
    tap = np.array([1, 3, 3, 1]) / 8
    patch = np.asarray(image, float)[2 * 5 - 1 : 2 * 5 + 3, 2 * 9 - 1 : 2 * 9 + 3]
    expected = np.einsum("i,j,ijc->c", tap, tap, patch)
    np.testing.assert_allclose(all_of(test.images.pixels)[1, 5, 9], expected, atol=1)

    ulm = splits.oracle.val
    assert ulm.labels.shape == (1, 16, 32)
    last = laid_out / "cityscapes/gtFine/train/ulm/ulm_000005_000019_gtFine_labelIds.png"
    np.testing.assert_array_equal(all_of(ulm.labels)[0], label_id_to_train_id()[np.asarray(Image.open(last))][::2, ::2])


def test_labels_hold_train_ids_from_the_palette_index(laid_out: Path) -> None:
    splits = gta5_to_cityscapes(laid_out, (16, 24)).open()
    expected = label_id_to_train_id()[np.asarray(Image.open(laid_out / GTA5))]
    np.testing.assert_array_equal(all_of(splits.source_train.labels)[6], expected)
    assert set(np.unique(all_of(splits.source_train.labels))) == {*range(19), VOID}


def test_batches_of_target_images_have_no_labels(laid_out: Path) -> None:
    splits = gta5_to_cityscapes(laid_out, SIZE).open()
    batch = unlabelled_batch(splits.target_adapt, [0, 2])
    assert not hasattr(batch, "labels")
    assert batch.images.shape == (2, 3, 16, 32)


def test_data_are_decoded_once(
    laid_out: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "TOLD_AT", 7)
    shift = gta5_to_cityscapes(laid_out, SIZE)
    with caplog.at_level(logging.INFO):
        shift.open()
        first = len(caplog.records)
        shift.open()
        gta5_to_cityscapes(laid_out, SIZE, groups=CAMVID_11).open()
    assert caplog.messages[:3] == [f"source.train: decoded {number} of 21 images" for number in (7, 14, 21)]
    assert len(caplog.records) == first


def test_the_root_is_read_from_the_environment_when_the_function_is_called(
    laid_out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gta5_to_cityscapes().root is None
    monkeypatch.setenv("PLATFORM_DATA", str(laid_out))
    assert gta5_to_cityscapes().root == laid_out
    assert gta5_to_cityscapes("/elsewhere").root == Path("/elsewhere")


def test_identity_needs_no_data() -> None:
    assert gta5_to_cityscapes(groups=((0,), (1, 2))).identity() == {
        "name": "gta5_to_cityscapes",
        "size": [512, 1024],
        "groups": [[0], [1, 2]],
        "data": None,
        "decoding": 2,
    }
    assert gta5_to_cityscapes("/does/not/exist").identity()["data"] is None


def test_identity_does_not_depend_on_where_the_data_lie_or_when_they_were_copied(laid_out: Path, data: Path) -> None:
    (data / GTA5).touch()
    assert gta5_to_cityscapes(data).identity() == gta5_to_cityscapes(laid_out).identity()


def rename_frame(root: Path, number: str, other: str) -> None:
    for kind, ending in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
        path = root / f"cityscapes/{kind}/val/lindau/lindau_{number}_000019_{ending}.png"
        path.rename(path.with_name(path.name.replace(number, other)))


def flip_a_bit(path: Path) -> None:
    """Change a file and neither its name, its size nor its date."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: [(root / f"gta5/{kind}/00023.png").unlink() for kind in ("images", "labels")],
        lambda root: rename_frame(root, "000001", "000009"),
        lambda root: Image.new("L", (64, 32)).save(root / TEST),
        lambda root: flip_a_bit(root / TEST),
        lambda root: flip_a_bit(root / "gta5/images/00007.png"),
    ],
    ids=["a pair less", "another order", "other labels", "one bit of labels", "one bit of an image"],
)
def test_identity_changes_with_the_data(laid_out: Path, data: Path, change: Callable[[Path], object]) -> None:
    change(data)
    assert gta5_to_cityscapes(data).identity()["data"] != gta5_to_cityscapes(laid_out).identity()["data"]


def test_a_link_to_nowhere_is_refused_by_name(data: Path) -> None:
    (data / GTA5).unlink()
    (data / GTA5).symlink_to(data / "unmounted.png")
    with pytest.raises(DataError, match=r"00007\.png cannot be read: No such file"):
        gta5_to_cityscapes(data).identity()


def test_files_that_change_before_they_are_decoded_are_refused(data: Path) -> None:
    shift = gta5_to_cityscapes(data, SIZE)
    shift.identity()
    for kind in ("images", "labels"):
        (data / f"gta5/{kind}/00023.png").unlink()
    with pytest.raises(DataError, match="not those that this study was planned with"):
        shift.open()


def test_what_is_decoded_is_used_without_the_files(data: Path) -> None:
    shift = gta5_to_cityscapes(data, SIZE)
    before = shift.open()
    shutil.rmtree(data)
    after = shift.open()
    assert np.array_equal(all_of(after.oracle.test.labels), all_of(before.oracle.test.labels))
    with pytest.raises(DataError, match="does not exist"):
        gta5_to_cityscapes(data, SIZE).open()


def test_a_shift_travels_to_a_worker(laid_out: Path) -> None:
    shift = gta5_to_cityscapes(laid_out, SIZE)
    copy = pickle.loads(pickle.dumps(shift))
    assert copy == shift
    assert copy.identity() == shift.identity()


@pytest.mark.parametrize("halves", ["images", "labels"])
def test_known_missing_pairs_of_gta5_are_reported_and_left_out(
    data: Path, caplog: pytest.LogCaptureFixture, halves: str
) -> None:
    for name in ("02154", "12054"):
        shutil.copy(data / f"gta5/{halves}/00001.png", data / f"gta5/{halves}/{name}.png")
    shift = gta5_to_cityscapes(data, SIZE)
    shift.check()
    assert "left out 2 of GTA5's known missing pairs: 02154, 12054" in caplog.text
    splits = shift.open()
    assert len(splits.source_train) + len(splits.source_val) == 23


def test_a_known_missing_frame_that_is_a_pair_after_all_is_used(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_gta5(data, "02154")
    assert gta5_to_cityscapes(data, SIZE).open().source_val.images.names[-1] == "02154"
    assert "known missing" not in caplog.text


def test_twenty_five_frames_are_known_to_be_missing() -> None:
    assert len(KNOWN_MISSING) == 24_966 - 24_941
    assert {"02158", "04634", "07117", "09683", "12050"} < KNOWN_MISSING


def image(mode: str, size: tuple[int, int]) -> Callable[[Path], None]:
    return lambda path: Image.new(mode, size).save(path)


def without(split: str) -> Callable[[Path], None]:
    def remove(cityscapes: Path) -> None:
        for kind in ("leftImg8bit", "gtFine"):
            shutil.rmtree(cityscapes / kind / split)

    return remove


FOUND_BY_CHECK: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "GTA5 labels missing": (GTA5, Path.unlink, r"without a partner: \S+gta5/images/00007\.png; add what is missing"),
    "GTA5 image missing": ("gta5/images/00007.png", Path.unlink, r"without a partner: \S+gta5/labels/00007\.png; add"),
    "target labels missing": (TRAIN, Path.unlink, r"partner: \S+train/ulm/ulm_000002_000019_leftImg8bit\.png; add"),
    "test labels missing": (TEST, Path.unlink, r"partner: \S+val/lindau/lindau_000001_000019_leftImg8bit\.png; add"),
    "no GTA5": (
        "gta5",
        shutil.rmtree,
        r"gta5/images must hold at least 2 images, got 0: .*data holds cityscapes; set PLATFORM_DATA",
    ),
    "no train split": (
        "cityscapes",
        without("train"),
        r"leftImg8bit/train must hold at least 2 images, got 0: \S+leftImg8bit holds val; set PLATFORM_DATA",
    ),
    "no val split": (
        "cityscapes",
        without("val"),
        r"leftImg8bit/val must hold at least 1 images, got 0: \S+leftImg8bit holds train; set PLATFORM_DATA",
    ),
    "no images": (
        "cityscapes/leftImg8bit",
        shutil.rmtree,
        r"leftImg8bit/train must hold at least 2 images, got 0: .* gtFine",
    ),
    "no labels": (
        "cityscapes/gtFine",
        shutil.rmtree,
        r"gtFine/train must hold at least 2 label images .*, got 0: .* leftImg",
    ),
    "train ids alone": (
        "cityscapes/gtFine/val/lindau",
        lambda city: [path.rename(str(path).replace("labelIds", "labelTrainIds")) for path in list(city.glob("*.png"))],
        r"gtFine/val must hold at least 1 label images \*_gtFine_labelIds\.png, got 0: .* holds lindau; left out "
        r"\*_gtFine_labelTrainIds \(3\); set",
    ),
}
FOUND_BY_OPEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "size mismatch": (
        GTA5,
        image("L", (24, 12)),
        r"labels/00007\.png must have the size of its image \S+images/00007\.png, 24 x 16, got 24 x 12; replace",
    ),
    "colour image": (
        TRAIN,
        image("RGB", (64, 32)),
        r"ulm_000002_000019_gtFine_labelIds\.png: .*got a colour image; save",
    ),
    "16 bits": (TRAIN, image("I;16", (64, 32)), r"ulm_000002_000019_gtFine_labelIds\.png: .* 8 bits, got 16; save"),
    "id out of range": (
        GTA5,
        lambda path: Image.new("L", (24, 16), 35).save(path),
        r"labels/00007\.png: label ids must be 0 to 34, or 255 for void, got 35; check",
    ),
    "labels truncated": (
        TEST,
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        r"lindau_000001\S+ cannot be read",
    ),
    "image no image": ("gta5/images/00007.png", lambda path: path.write_text("?"), r"images/00007\.png cannot be read"),
    "image empty": ("gta5/images/00007.png", lambda path: path.write_bytes(b""), r"images/00007\.png cannot be read"),
    "test labels of another size": (
        "cityscapes",
        lambda path: write_cityscapes(path.parent, "val", "lindau", 1, height=16, width=32),
        r"lindau_000001\S+ must have the size of the split's other label images, 64 x 32, got 32 x 16",
    ),
}


def test_check_accepts_what_is_laid_out(laid_out: Path) -> None:
    gta5_to_cityscapes(laid_out, SIZE).check()


@pytest.mark.parametrize("case", [*FOUND_BY_CHECK, *FOUND_BY_OPEN])
def test_data_that_are_not_as_published_are_refused_by_name(data: Path, tmp_path: Path, case: str) -> None:
    name, spoil, expected = {**FOUND_BY_CHECK, **FOUND_BY_OPEN}[case]
    spoil(data / name)
    shift = gta5_to_cityscapes(data, SIZE)
    find = shift.check if case in FOUND_BY_CHECK else shift.open
    with pytest.raises(DataError) as refusal:
        find()
    assert re.search(expected, str(refusal.value))
    assert "\n" not in str(refusal.value)
    assert not [path for path in tmp_path.glob("cache/*/*") if path.is_dir()]


def test_the_first_of_several_bad_files_is_named_however_the_threads_run(data: Path) -> None:
    for name in ("00003", "00004", "00020"):
        (data / f"gta5/images/{name}.png").write_bytes(b"")
    with pytest.raises(DataError, match="00003"):
        gta5_to_cityscapes(data, SIZE).open()


@pytest.mark.parametrize("method", ["check", "open"])
@pytest.mark.parametrize(
    ("root", "rule"), [(None, "got no folder"), ("/does/not/exist", "/does/not/exist does not exist")]
)
def test_without_data_the_message_says_how_to_get_them(root: str | None, rule: str, method: str) -> None:
    with pytest.raises(DataError) as refusal:
        getattr(gta5_to_cityscapes(root), method)()
    message = str(refusal.value)
    for part in (rule, "PLATFORM_DATA", "--data", "gta5/labels", "from_games", "cityscapes-dataset.com"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("size", [(512,), (0, 4), (512.0, 1024), 512, (True, 4)])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match=r"size must be height and width in pixels, got .*; the default is"):
        gta5_to_cityscapes(size=size)


def test_a_disk_that_is_too_small_is_refused_before_it_is_full(laid_out: Path) -> None:
    with pytest.raises(DataError, match=r"need [\d.]+ GB in \S+, got [\d.]+ GB free; .* set XDG_CACHE_HOME"):
        gta5_to_cityscapes(laid_out, (10**7, 10**7)).open()


def test_a_test_label_of_another_size_is_refused_whatever_size_the_images_get(data: Path) -> None:
    write_cityscapes(data, "val", "lindau", 1, height=16, width=32)
    with pytest.raises(DataError, match=r"lindau_000001\S+ must have the size of the split's other label images"):
        gta5_to_cityscapes(data, (32, 64)).open()


def test_smoke_takes_the_towns_groups_where_it_draws_less_than_two_of_the_studys() -> None:
    smoke = gta5_to_cityscapes(groups=((13,), (12,), (18,))).smoke()
    assert smoke.groups == town().groups


def test_smoke_is_a_tiny_town_with_the_same_groups() -> None:
    smoke = gta5_to_cityscapes(groups=CAMVID_11).smoke()
    assert smoke.name == "town"
    assert smoke.groups == CAMVID_11


@pytest.mark.parametrize("first", ["import platform.shifts.town, platform.shifts.gta5_to_cityscapes", "pass"])
def test_the_package_exports_functions_whatever_was_imported_before(first: str) -> None:
    program = (
        f"{first}\nfrom platform.shifts import gta5_to_cityscapes, town\nassert callable(town)\ngta5_to_cityscapes()"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.skipif(not (REAL / "layout.py").exists(), reason=f"the real pair is not at {REAL}")
def test_a_real_pair_opens(tmp_path: Path) -> None:
    command = [sys.executable, str(REAL / "layout.py"), str(tmp_path / "real"), "--limit", "11"]
    subprocess.run(command, check=True, capture_output=True)
    shift = gta5_to_cityscapes(tmp_path / "real", (90, 120), CAMVID_11)
    splits = shift.open()
    assert (len(splits.source_train), len(splits.target_adapt), len(splits.oracle.test)) == (10, 10, 11)
    assert splits.oracle.test.labels.shape == (11, 360, 480)
    road = (all_of(splits.source_train.labels) == 0).mean()
    assert 0.1 < road < 0.6
    assert dataclasses.replace(shift, groups=SINGLE_CLASSES).identity()["data"] == shift.identity()["data"]
