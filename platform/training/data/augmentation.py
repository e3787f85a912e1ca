"""Augmentation of a batch: decided on the CPU by an addressed generator, applied on the images' device."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from torch.nn import functional

LARGEST_SCALE = 2.0
"""Factor by which a crop enlarges the image at most."""


def augment(
    images: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, "batch height width"] | None,
    kind: str,
    random: np.random.Generator,
) -> tuple[Float[Tensor, "batch 3 height width"], Int64[Tensor, "batch height width"] | None]:
    """Augment images and their labels alike, keeping their size.

    `kind` is a value of `Recipe.augmentation`. Images are resampled bilinearly, labels by nearest neighbour.
    """
    if kind == "none":
        return images, labels
    flips = torch.from_numpy(random.random(len(images)) < 0.5).to(images.device)
    images = torch.where(flips[:, None, None, None], images.flip(-1), images)
    labels = None if labels is None else torch.where(flips[:, None, None], labels.flip(-1), labels)
    if kind == "flip":
        return images, labels
    grid = _crops(len(images), images.shape[-2:], random).to(images.device)
    images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if labels is not None:
        drawn = functional.grid_sample(labels[:, None].float(), grid, mode="nearest", align_corners=False)
        labels = drawn[:, 0].long()
    return images, labels


def _crops(number: int, size: torch.Size, random: np.random.Generator) -> Float32[Tensor, "number height width 2"]:
    """Sampling grids of random windows whose sides are 1/scale of the image's."""
    sides = 1 / random.uniform(1, LARGEST_SCALE, number)
    shifts = random.uniform(-1, 1, (number, 2)) * (1 - sides)[:, None]
    windows = np.zeros((number, 2, 3), np.float32)
    windows[:, 0, 0] = windows[:, 1, 1] = sides
    windows[:, :, 2] = shifts
    return functional.affine_grid(torch.from_numpy(windows), [number, 1, *size], align_corners=False)
