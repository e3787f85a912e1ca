"""Splits that lie in memory as a whole: the same batches, from fewer copies."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import FDA
from platform.shifts.shift import CacheDamaged
from platform.shifts.stored import NewSplit, Stored, described
from platform.training.data import batches as module
from platform.training.data.resident import AT_A_TIME, resident
from platform.training.device.memory import room_for_splits
from tests.support.tiny_splits import CPU, images, labelled, splits, training_run

IMAGE = 32 * 64 * 3
LABELLED = 32 * 64 * 4
DATA = splits(source=7, target=5)


def digests(monkeypatch: pytest.MonkeyPatch, room: int) -> tuple[list[Tensor], int]:
    """The weights after some steps with so much room for splits, and the bytes that a step sent."""
    monkeypatch.setattr(module, "room_for_splits", lambda device: room)
    run = training_run(FDA(), data=DATA, augmentation="flip and crop")
    run.advance(5)
    return [*run.network.state_dict().values()], run.batches._transfer.bytes


@pytest.mark.parametrize(
    ("room", "sent"),
    [(5 * IMAGE, 2 * LABELLED), (7 * LABELLED + 5 * IMAGE, 0), (5 * IMAGE - 1, 2 * LABELLED + 2 * IMAGE)],
    ids=["the target", "both", "none"],
)
def test_batches_are_the_same_wherever_splits_lie(room: int, sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = digests(monkeypatch, 0)
    weights, taken = digests(monkeypatch, room)
    for one, other in zip(weights, expected, strict=True):
        assert torch.equal(one, other)
    assert sent <= taken < sent + 1024


def test_the_smallest_splits_are_taken_first_and_whole() -> None:
    number = 2 * AT_A_TIME + 3
    large, small = labelled(number, 0), images(3, 1)
    given = {"source": {"images": large.images.pixels, "labels": large.labels}, "target": {"images": small.pixels}}
    room = number * LABELLED + 3 * IMAGE
    assert resident(given, 3 * IMAGE - 1, CPU) == {}
    assert resident(given, room - 1, CPU).keys() == {"target"}
    there = resident(given, room, CPU)
    np.testing.assert_array_equal(there["source"]["images"].numpy(), large.images.pixels)
    np.testing.assert_array_equal(there["source"]["labels"].numpy(), large.labels)
    np.testing.assert_array_equal(there["target"]["images"].numpy(), small.pixels)


def test_what_is_damaged_is_named_when_it_is_read(tmp_path: Path) -> None:
    written = NewSplit(tmp_path, "train", 3, (32, 64), (32, 64))
    for pixels in images(3, 0).pixels[[0, 1, 2]]:
        written.put(0, pixels, pixels[..., 0])
    written.finish(["0.png", "1.png", "2.png"])
    stored = Stored(tmp_path, "train", "images", described(tmp_path, "train")["images"])
    with pytest.raises(CacheDamaged, match=r"train\.images\.npy is damaged"):
        resident({"target": {"images": stored}}, 10**9, CPU)


def test_on_the_cpu_splits_stay_where_they_are() -> None:
    assert room_for_splits(CPU) == 0
