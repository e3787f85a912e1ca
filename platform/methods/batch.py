"""Batches as methods see them: images with labels, or images alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from platform.shifts.shift import Images, LabelledImages, Pixels


@dataclass(frozen=True)
class Unlabelled:
    """A batch of images: float32 RGB in [0, 255], shape (batch, 3, height, width). There is no label field."""

    images: Tensor
    indices: Tensor
    """Position of each image in its split, shape (batch,): the key of whatever a method caches per image."""


@dataclass(frozen=True)
class Labelled:
    """A batch with labels: train ids, int64, 255 for void, shape (batch, height, width)."""

    images: Tensor
    labels: Tensor
    indices: Tensor


def labelled_batch(split: LabelledImages, indices: Sequence[int]) -> Labelled:
    """The images at these positions of a split, and their labels."""
    labels = torch.from_numpy(np.ascontiguousarray(split.labels[list(indices)])).long()
    images = unlabelled_batch(split.images, indices)
    return Labelled(images.images, labels, images.indices)


def unlabelled_batch(split: Images, indices: Sequence[int]) -> Unlabelled:
    """The images at these positions of a split."""
    return Unlabelled(_images(split.pixels, indices), torch.as_tensor(list(indices)))


def _images(pixels: Pixels, indices: Sequence[int]) -> Tensor:
    chosen = np.ascontiguousarray(pixels[list(indices)])
    return torch.from_numpy(chosen).permute(0, 3, 1, 2).float()
