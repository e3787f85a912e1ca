"""The labelled target images that a shift grants."""

import numpy as np
import pytest

from platform.shifts import town
from platform.shifts.few import granted
from platform.shifts.shift import DataError
from tests.support.arrays import all_of
from tests.support.tiny_splits import splits


@pytest.mark.parametrize(("number", "chosen"), [(1, [0]), (2, [0, 4]), (3, [0, 3, 6]), (9, list(range(9)))])
def test_evenly_spaced_images_are_granted_with_their_labels(number: int, chosen: list[int]) -> None:
    data = splits(target=9)
    few = granted(data, number).few
    assert few is not None
    assert few.images.names == tuple(data.target_adapt.names[position] for position in chosen)
    np.testing.assert_array_equal(all_of(few.images.pixels), data.target_adapt.pixels[chosen])
    np.testing.assert_array_equal(all_of(few.labels), data.oracle.adapt.labels[chosen])


def test_what_is_granted_is_a_copy_that_leads_to_no_other_label() -> None:
    data = splits()
    few = granted(data, 2).few
    assert few is not None
    assert not np.shares_memory(few.labels, data.oracle.adapt.labels)


def test_of_a_cache_on_disk_too(tmp_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = town(size=(32, 64), source_images=(4, 2), target_images=(4, 2, 2)).open()
    few = granted(data, 2).few
    assert few is not None
    assert isinstance(few.labels, np.ndarray)
    np.testing.assert_array_equal(few.labels, data.oracle.adapt.labels[[0, 2]])


def test_nothing_else_of_the_splits_changes() -> None:
    data = splits()
    few = granted(data, 2)
    assert {name for name in vars(data) if vars(data)[name] is not vars(few)[name]} == {"few"}
    assert granted(data, 0) is data


def test_more_than_are_adapted_to_cannot_be_granted() -> None:
    with pytest.raises(DataError, match="at most the labels of all that is adapted to, 5 images, got 6; lower `few`"):
        granted(splits(target=5), 6)
