"""A saved state, as it comes back: checked before it is trusted."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn


class Damaged(ValueError):
    """A saved state that cannot be trusted; the message completes `it is ...`."""


def loaded(saved: bytes) -> dict[str, Any]:
    """A saved state on the CPU, its checksums checked first, since torch checks none."""
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} does not have the checksum that it was saved with")
    state: dict[str, Any] = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    return state


def resize(module: nn.Module, state: Mapping[str, Shaped[Tensor, "..."]], device: torch.device) -> None:
    """Give a player's buffers the sizes that a saved state has: an update may have filled them, or made them larger."""
    owners = dict(module.named_modules())
    for name, saved in state.items():
        owner, _, own = name.rpartition(".")
        buffers = owners[owner]._buffers if owner in owners else {}
        if own in buffers and ((buffer := buffers[own]) is None or buffer.shape != saved.shape):
            buffers[own] = torch.empty_like(saved, device=device)
