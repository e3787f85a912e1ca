"""Batches as a run makes them, of chosen images, neither translated nor augmented."""

from collections.abc import Sequence

import torch

from platform.methods.batch import Labelled, Unlabelled
from platform.shifts.shift import Images, LabelledImages


def labelled_batch(split: LabelledImages, indices: Sequence[int]) -> Labelled:
    """The images at these positions of a split, and their labels."""
    labels = torch.from_numpy(split.labels[list(indices)]).long()
    images = unlabelled_batch(split.images, indices)
    domains = [split.domains[position] if split.domains else 0 for position in indices]
    return Labelled(images.images, labels, images.indices, torch.tensor(domains, dtype=torch.int64))


def unlabelled_batch(split: Images, indices: Sequence[int]) -> Unlabelled:
    """The images at these positions of a split."""
    return Unlabelled(
        torch.from_numpy(split.pixels[list(indices)]).permute(0, 3, 1, 2).float(), torch.as_tensor(list(indices))
    )
