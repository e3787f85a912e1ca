"""Augmentation of a batch: drawn on the CPU by an addressed generator, applied on the images' device."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, Shaped
from torch import Tensor
from torch.nn import functional

LARGEST_SCALE = 2.0
"""Factor by which a crop enlarges the image at most."""


FLIPS, WINDOWS = "flips", "windows"


def draw(kind: str, number: int, random: np.random.Generator) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Draw for so many images; `kind` is a value of `Recipe.augmentation`.

    FLIPS are those that are taken from left to right, WINDOWS the part of each that is taken, as `affine_grid` has it;
    what is not there is taken of none.
    """
    if kind == "none":
        return {}
    flips = {FLIPS: random.random(number) < 0.5}
    return flips | {WINDOWS: _windows(number, random)} if kind == "flip and crop" else flips


def augment(
    images: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, "batch height width"] | None,
    flips: Bool[Tensor, " batch"] | None,
    windows: Float32[Tensor, "batch 2 3"] | None,
) -> tuple[Float[Tensor, "batch 3 height width"], Int64[Tensor, "batch height width"] | None]:
    """Augment images and their labels alike, keeping their size, as was drawn.

    Images are resampled bilinearly, labels by nearest neighbour.
    """
    if flips is not None:
        images = torch.where(flips[:, None, None, None], images.flip(-1), images)
        labels = None if labels is None else torch.where(flips[:, None, None], labels.flip(-1), labels)
    if windows is None:
        return images, labels
    grid = functional.affine_grid(windows, [len(images), 1, *images.shape[-2:]], align_corners=False)
    images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if labels is not None:
        drawn = functional.grid_sample(labels[:, None].float(), grid, mode="nearest", align_corners=False)
        labels = drawn[:, 0].long()
    return images, labels


def _windows(number: int, random: np.random.Generator) -> Float32[np.ndarray, "number 2 3"]:
    """Random windows whose sides are 1/scale of the image's."""
    sides = 1 / random.uniform(1, LARGEST_SCALE, number)
    shifts = random.uniform(-1, 1, (number, 2)) * (1 - sides)[:, None]
    windows = np.zeros((number, 2, 3), np.float32)
    windows[:, 0, 0] = windows[:, 1, 1] = sides
    windows[:, :, 2] = shifts
    return windows
