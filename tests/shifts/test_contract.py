"""What every shift promises. A new one joins by a line in SHIFTS."""

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from platform.shifts import DataError, Shift, gta5_to_cityscapes, pair, town, union
from platform.shifts.labels import NUM_CLASSES, VOID, check_groups, groups
from platform.shifts.shift import Images, LabelledImages, Splits, cache_folder
from tests.support.arrays import all_of
from tests.support.small_data_sets import lay_out
from tests.support.small_domains import Invented


def small_town(root: Path) -> Shift:
    return town(size=(32, 64), source_images=(3, 2), target_images=(3, 2, 2))


def small_gta5_to_cityscapes(root: Path) -> Shift:
    return gta5_to_cityscapes(root, size=(16, 32))


def small_pair(root: Path) -> Shift:
    return pair(Invented("game"), Invented("photographs", size=(48, 80), seed=1), size=(32, 64))


def small_union(root: Path) -> Shift:
    return pair(union(Invented("game"), Invented("other")), Invented("photographs", seed=1), size=(32, 64))


SHIFTS: list[Callable[[Path], Shift]] = [small_town, small_gta5_to_cityscapes, small_pair, small_union]
"""Each makes a shift of a few small images; the folder holds small data sets as they are published."""
NEED_DATA: list[Shift] = [gta5_to_cityscapes()]
"""Shifts that read files, without a folder."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    lay_out(root)
    return root


@pytest.fixture(params=SHIFTS, ids=lambda make: make.__name__)
def shift(
    request: pytest.FixtureRequest,
    root: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Shift:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("PLATFORM_DATA", raising=False)
    made: Shift = request.param(root)
    return made


def labelled(splits: Splits) -> dict[str, LabelledImages]:
    oracle = splits.oracle
    return {
        "source train": splits.source_train,
        "source val": splits.source_val,
        "target adapt": oracle.adapt,
        "target val": oracle.val,
        "target test": oracle.test,
    }


def test_every_split_holds_named_images_of_the_shifts_size(shift: Shift) -> None:
    for name, split in labelled(shift.open()).items():
        images = split.images
        assert len(split) > 0, name
        assert images.pixels.shape == (len(split), *shift.size, 3), name
        assert all_of(images.pixels).dtype == np.uint8
        assert len(set(images.names)) == len(split), "names tell images apart"


def test_labels_are_train_ids_or_void_at_the_images_size_but_for_the_test_split(shift: Shift) -> None:
    for name, split in labelled(shift.open()).items():
        labels = all_of(split.labels)
        assert (labels.dtype, labels.ndim, len(labels)) == (np.dtype(np.uint8), 3, len(split))
        assert set(np.unique(labels)) <= {*range(NUM_CLASSES), VOID}, name
        if name != "target test":
            assert split.labels.shape[1:] == shift.size


def test_what_methods_see_of_the_target_are_the_images_of_the_oracle_without_their_labels(shift: Shift) -> None:
    splits = shift.open()
    for unlabelled, oracle in ((splits.target_adapt, splits.oracle.adapt), (splits.target_val, splits.oracle.val)):
        assert [field.name for field in dataclasses.fields(unlabelled)] == ["pixels", "names"]
        assert isinstance(unlabelled, Images)
        assert unlabelled.names == oracle.images.names
        np.testing.assert_array_equal(all_of(unlabelled.pixels), all_of(oracle.images.pixels))


def test_no_image_is_in_two_splits_of_a_domain(shift: Shift) -> None:
    splits = labelled(shift.open())
    for domain in ("source", "target"):
        names = [name for key, split in splits.items() if key.startswith(domain) for name in split.images.names]
        assert len(set(names)) == len(names)


def test_opening_again_gives_the_same_bytes(shift: Shift) -> None:
    for first, again in zip(labelled(shift.open()).values(), labelled(shift.open()).values(), strict=True):
        assert all_of(first.images.pixels).tobytes() == all_of(again.images.pixels).tobytes()
        assert all_of(first.labels).tobytes() == all_of(again.labels).tobytes()


def test_the_identity_is_json_and_survives_a_journey_to_a_worker(shift: Shift) -> None:
    identity = shift.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert pickle.loads(pickle.dumps(shift)).identity() == identity
    assert (identity["name"], identity["size"]) == (shift.name, list(shift.size))
    assert identity["groups"] == [list(group) for group in shift.groups]


def test_the_identity_changes_with_every_field_that_decides_what_is_seen(shift: Shift) -> None:
    height, width = shift.size
    for other in (
        dataclasses.replace(shift, size=(2 * height, 2 * width)),
        dataclasses.replace(shift, groups=groups("road", "car")),
    ):
        assert other.identity() != shift.identity()


def test_groups_are_disjoint_train_ids_and_others_are_refused(shift: Shift) -> None:
    check_groups(shift.groups)
    for wrong in ((), ((0, 0), (1,)), ((NUM_CLASSES,), (1,)), ((3, 4),)):
        with pytest.raises(ValueError, match="group"):
            dataclasses.replace(shift, groups=wrong)


def test_a_shift_whose_data_are_there_passes_its_check(shift: Shift) -> None:
    shift.check()


def test_smoke_needs_no_data_and_keeps_the_groups(
    shift: Shift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_DATA", str(tmp_path / "absent"))
    tiny = dataclasses.replace(shift, groups=groups("road", "car")).smoke()
    tiny.check()
    assert tiny.groups == groups("road", "car")
    assert len(tiny.open().source_train) <= 16


@pytest.mark.parametrize("without_data", NEED_DATA, ids=lambda shift: shift.name)
@pytest.mark.parametrize("ask", [Shift.check, Shift.open])
def test_what_is_missing_is_told_in_one_line(
    without_data: Shift, ask: Callable[[Shift], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert json.dumps(without_data.identity()), "a plan needs no data"
    with pytest.raises(DataError) as refusal:
        getattr(without_data, ask.__name__)()
    assert "\n" not in str(refusal.value)
    assert "PLATFORM_DATA" in str(refusal.value)


def with_few(shift: Any, few: Any) -> Shift:
    """The shift with so many labels granted: a field of most shifts, and of none that cannot grant any."""
    granting: Shift = dataclasses.replace(shift, few=few)
    return granting


def test_few_labels_are_granted_of_what_is_adapted_to_and_are_part_of_the_identity(shift: Shift) -> None:
    assert (shift.few, shift.open().few) == (0, None)
    granting = with_few(shift, 2)
    splits = granting.open()
    assert granting.few == 2
    assert splits.few is not None
    assert set(splits.few.images.names) < set(splits.target_adapt.names)
    for position, name in enumerate(splits.few.images.names):
        at = [splits.target_adapt.names.index(name)]
        np.testing.assert_array_equal(splits.few.images.pixels[[position]], splits.target_adapt.pixels[at])
        np.testing.assert_array_equal(splits.few.labels[[position]], splits.oracle.adapt.labels[at])
    assert granting.identity() == shift.identity() | {"few": 2}
    assert "few" not in shift.identity()


def test_few_labels_are_of_the_same_decoded_data(shift: Shift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shift.open()
    with_few(shift, 2).open()
    assert len([path for path in cache_folder().iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("few", [-1, 0.5, True, "all"])
def test_few_is_a_whole_number(shift: Shift, few: Any) -> None:
    with pytest.raises(ValueError, match=r"few, .*, must be a whole number of at least 0"):
        with_few(shift, few)


def test_few_is_no_more_than_what_is_adapted_to(shift: Shift) -> None:
    with pytest.raises(ValueError, match="few"):
        with_few(shift, len(shift.open().target_adapt) + 1).open()


def test_smoke_grants_few_labels_of_a_tiny_town(shift: Shift) -> None:
    most = len(shift.open().target_adapt)
    tiny = with_few(shift, most).smoke()
    assert 0 < tiny.few <= len(tiny.open().target_adapt)


def test_sizes_and_seeds_of_other_libraries_name_the_same_shift() -> None:
    size: Any = (np.int64(64), torch.tensor(128))
    seed: Any = np.int32(3)
    few: Any = np.uint8(2)
    theirs: Any = ((np.uint8(0),), (np.int64(1),))
    assert town(size, seed=seed, few=few).identity() == town((64, 128), seed=3, few=2).identity()
    ours = gta5_to_cityscapes(size=(64, 128), groups=((0,), (1,)))
    assert gta5_to_cityscapes(size=size, groups=theirs).identity() == ours.identity()
