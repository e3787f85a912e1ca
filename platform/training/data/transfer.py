"""What a step needs of the host, in one piece of memory, which takes one copy to the device."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

ALIGNMENT = 64
SLOTS = 2
"""One piece is filled while the other is used."""


class Kind(NamedTuple):
    """The shape and type of an array."""

    shape: tuple[int, ...]
    type: torch.dtype

    @property
    def bytes(self) -> int:
        """What its numbers take."""
        return math.prod(self.shape) * self.type.itemsize


class Transfer:
    """Two pieces of memory, each of which holds arrays of the same names and kinds.

    For a GPU they are pinned, so that a copy leaves the CPU free; on the CPU nothing is copied.
    """

    def __init__(self, kinds: Mapping[str, Kind], device: torch.device) -> None:
        self._kinds = dict(kinds)
        self._on_gpu = device.type == "cuda"
        self.bytes = sum(map(_room, self._kinds.values()))
        """What one copy takes."""
        self._pieces = [torch.empty(self.bytes, dtype=torch.uint8, pin_memory=self._on_gpu) for _ in range(SLOTS)]
        self._there = torch.empty_like(self._pieces[0], device=device) if self._on_gpu else None
        self._sent: list[torch.Event | None] = [None] * SLOTS

    def wait(self, slot: int) -> None:
        """Wait for the last copy of a piece, which the device makes when it is done with the steps before."""
        if (sent := self._sent[slot]) is not None:
            sent.synchronize()

    def arrays(self, slot: int) -> dict[str, Shaped[np.ndarray, "..."]]:
        """The arrays of a piece, to be filled; waits for its last copy."""
        self.wait(slot)
        return {name: part.numpy() for name, part in self._parts(self._pieces[slot]).items()}

    def send(self, slot: int) -> dict[str, Shaped[Tensor, "..."]]:
        """The arrays of a piece on the device, until the next is sent."""
        if self._there is None:
            return self._parts(self._pieces[slot])
        self._there.copy_(self._pieces[slot], non_blocking=True)
        self._sent[slot] = sent = torch.Event("cuda")
        sent.record()
        return self._parts(self._there)

    def _parts(self, piece: Tensor) -> dict[str, Tensor]:
        parts, begin = {}, 0
        for name, kind in self._kinds.items():
            parts[name] = piece[begin : begin + kind.bytes].view(kind.type).reshape(kind.shape)
            begin += _room(kind)
        return parts


def _room(kind: Kind) -> int:
    """Where the next array begins."""
    return -(-kind.bytes // ALIGNMENT) * ALIGNMENT
