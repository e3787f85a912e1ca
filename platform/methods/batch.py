"""Batches as methods see them: images with labels, or images alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from platform.shifts.shift import Arrays


@dataclass(frozen=True)
class Unlabelled:
    """A batch of images. There is no label field."""

    images: Float32[Tensor, "batch 3 height width"]
    """RGB in [0, 255]."""
    indices: Int64[Tensor, " batch"]
    """Position of each image in its split: the key of whatever a method remembers of an image."""

    if not TYPE_CHECKING:  # for which any name would then pass

        def __getattr__(self, name: str) -> NoReturn:
            if name == "labels":
                raise AttributeError(
                    "a target batch has no labels; `few` in `reads` gives those that the shift grants, `oracle` an "
                    "upper bound's"
                )
            raise AttributeError(f"a target batch has images and indices, and no {name}")


@dataclass(frozen=True)
class Labelled:
    """A batch of images with labels."""

    images: Float32[Tensor, "batch 3 height width"]
    """RGB in [0, 255]."""
    labels: Int64[Tensor, "batch height width"]
    """Train ids, 255 for void."""
    indices: Int64[Tensor, " batch"]
    """Position of each image in its split."""
    domains: Int64[Tensor, " batch"]
    """Which of several source domains each image comes from, counted from 0; 0 where there is one."""


def unplaced(batch: Labelled | Unlabelled) -> Labelled | Unlabelled:
    """A batch of whose images nobody can find out where they lie, or where they are from."""
    indices = batch.indices.to("meta")
    if isinstance(batch, Unlabelled):
        return replace(batch, indices=indices)
    return replace(batch, indices=indices, domains=batch.domains.to("meta"))


@dataclass(frozen=True)
class UnlabelledImages:
    """All images of a split, read when they are asked for. There is no label, and no name of a file."""

    pixels: Arrays
    device: torch.device

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: Sequence[int]) -> Unlabelled:
        """The images at these positions."""
        images = _images(self.pixels[list(indices)]).to(self.device)
        return Unlabelled(images, torch.as_tensor(list(indices)))


def _images(pixels: UInt8[np.ndarray, "batch height width 3"]) -> Float32[Tensor, "batch 3 height width"]:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
