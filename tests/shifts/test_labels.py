"""The table of classes: facts of Cityscapes, and groups made from names."""

import numpy as np
import pytest

from platform.shifts import labels
from platform.shifts.labels import CAMVID_11, CLASSES, NAMES, NUM_CLASSES, SINGLE_CLASSES, VOID, Groups


def test_there_are_nineteen_classes_and_none_twice() -> None:
    assert NUM_CLASSES == 19
    for column in zip(*CLASSES, strict=True):
        assert len(set(column)) == 19


def test_label_ids_rise_with_train_ids() -> None:
    ids = [entry.label_id for entry in CLASSES]
    assert ids == sorted(ids) == [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


def test_lookup_inverts_the_table_and_sends_everything_else_to_void() -> None:
    table = labels.label_id_to_train_id()
    assert (table.shape, table.dtype) == ((256,), np.dtype(np.uint8))
    assert [table[entry.label_id] for entry in CLASSES] == list(range(19))
    assert np.count_nonzero(table != VOID) == 19


def test_palette_holds_each_class_and_black_for_void() -> None:
    palette = labels.palette()
    assert (palette.shape, palette.dtype) == ((256, 3), np.dtype(np.uint8))
    assert palette[labels.train_id("car")].tolist() == [0, 0, 142]
    assert palette[VOID].tolist() == [0, 0, 0]


def test_train_id_is_the_position() -> None:
    assert [labels.train_id(name) for name in NAMES] == list(range(19))


def test_an_unknown_class_is_refused_with_the_classes_there_are() -> None:
    with pytest.raises(ValueError, match=r"'pavement' is not a class. The classes are: road, sidewalk, "):
        labels.train_id("pavement")


def test_groups_join_names() -> None:
    assert labels.groups("road", "wall+fence") == ((0,), (3, 4))
    assert labels.group_names(((0,), (3, 4))) == ("road", "wall+fence")


@pytest.mark.parametrize("members", [("road", "road"), ("wall+fence", "fence+pole"), ("car+car",)])
def test_a_class_in_several_groups_is_refused(members: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"one group at most; .* is in several"):
        labels.groups(*members)


@pytest.mark.parametrize(("evaluated", "number"), [(SINGLE_CLASSES, 19), (CAMVID_11, 11)])
def test_the_groups_that_are_given_hold_every_class_once(evaluated: Groups, number: int) -> None:
    assert len(evaluated) == number
    assert sorted(member for group in evaluated for member in group) == list(range(19))


def test_camvid_groups_are_what_its_labels_join() -> None:
    assert {name for name in labels.group_names(CAMVID_11) if "+" in name} == {
        "wall+fence",
        "traffic light+traffic sign",
        "vegetation+terrain",
        "rider+motorcycle+bicycle",
        "car+truck+bus+train",
    }
