"""Splits so small that they lie in a GPU's memory as a whole, from where batches are taken without any copy."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from platform.shifts.shift import Arrays
from platform.shifts.stored import fill

AT_A_TIME = 64
"""Images that are read at a time."""

Whole = dict[str, UInt8[Tensor, "..."]]
"""The arrays of a split by name."""


def resident(splits: Mapping[str, Mapping[str, Arrays]], room: int, device: torch.device) -> dict[str, Whole]:
    """The splits that lie in memory as a whole, the smallest first, as many as there is room for, in bytes."""
    there: dict[str, Whole] = {}
    for name, arrays in sorted(splits.items(), key=lambda split: _bytes(split[1])):
        if (taken := _bytes(arrays)) <= room:
            there[name] = {what: _sent(each, device) for what, each in arrays.items()}
            room -= taken
    return there


def _bytes(arrays: Mapping[str, Arrays]) -> int:
    return sum(int(np.prod(each.shape)) for each in arrays.values())


def _sent(arrays: Arrays, device: torch.device) -> UInt8[Tensor, "..."]:
    number = len(arrays)
    whole = torch.empty(arrays.shape, dtype=torch.uint8, device=device)
    for first in range(0, number, AT_A_TIME):
        positions = [*range(first, min(first + AT_A_TIME, number))]
        read = np.empty((len(positions), *arrays.shape[1:]), np.uint8)
        fill(arrays, positions, read)
        whole[first : first + len(positions)] = torch.from_numpy(read).to(device)
    return whole
