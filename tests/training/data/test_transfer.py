"""One piece of memory for all that a step needs of the host."""

from typing import Any

import numpy as np
import pytest
import torch

from platform.training.data.transfer import Kind, Transfer

KINDS = {
    "images": Kind((2, 3, 5, 3), torch.uint8),
    "flips": Kind((2,), torch.bool),
    "windows": Kind((2, 2, 3), torch.float32),
    "labels": Kind((2, 3, 5), torch.uint8),
}


def fill(transfer: Transfer, slot: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(slot)
    arrays = transfer.arrays(slot)
    for name, array in arrays.items():
        array[...] = random.random(array.shape) < 0.5 if name == "flips" else random.integers(0, 200, array.shape)
    return {name: array.copy() for name, array in arrays.items()}


def test_what_is_filled_in_arrives() -> None:
    transfer = Transfer(KINDS, torch.device("cpu"))
    filled = [fill(transfer, slot) for slot in (0, 1)]
    for slot in (1, 0):
        arrived = transfer.send(slot)
        assert arrived.keys() == KINDS.keys()
        for name, kind in KINDS.items():
            assert arrived[name].dtype == kind.type
            assert arrived[name].shape == kind.shape
            np.testing.assert_array_equal(arrived[name].numpy(), filled[slot][name])


def test_on_the_cpu_nothing_is_copied() -> None:
    transfer = Transfer(KINDS, torch.device("cpu"))
    transfer.arrays(0)["images"][...] = 7
    arrived = transfer.send(0)["images"]
    transfer.arrays(0)["images"][...] = 8
    assert (arrived == 8).all()
    assert not transfer.send(0)["images"].is_pinned()


class Events:
    """A GPU's events, which only a real one has, and the pinned memory that only one can be had for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.pinned: list[bool] = []
        empty = torch.empty

        def empty_on_cpu(*size: Any, pin_memory: bool = False, device: Any = None, **options: Any) -> torch.Tensor:
            self.pinned.append(pin_memory)
            return empty(*size, **options)

        def event(device: str) -> "Events":
            assert device == "cuda"
            return self

        monkeypatch.setattr(torch, "empty", empty_on_cpu)
        monkeypatch.setattr(torch, "empty_like", lambda like, **_: empty(like.shape, dtype=like.dtype))
        monkeypatch.setattr(torch, "Event", event)

    def record(self) -> None:
        self.done.append("sent")

    def synchronize(self) -> None:
        self.done.append("waited")


def test_for_a_gpu_memory_is_pinned_and_filled_again_only_when_its_copy_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = Events(monkeypatch)
    transfer = Transfer(KINDS, torch.device("cuda"))
    assert events.pinned == [True, True]
    filled = fill(transfer, 0)
    assert events.done == []
    arrived = transfer.send(0)
    fill(transfer, 1)
    assert events.done == ["sent"]
    np.testing.assert_array_equal(arrived["labels"].numpy(), filled["labels"])
    fill(transfer, 0)
    assert events.done == ["sent", "waited"]
    np.testing.assert_array_equal(arrived["labels"].numpy(), filled["labels"])
