"""Predictions finer than those of most networks: evidence looks at some of their places."""

import math

import numpy as np
import pytest
import torch

from platform.training.evidence import thinned
from tests.support.single_images import located


@pytest.mark.parametrize("size", [(32, 64), (40, 70), (8, 8), (5, 9)])
def test_a_prediction_at_the_image_s_size_is_looked_at_every_eight_pixels(size: tuple[int, int]) -> None:
    """In the middle of each cell, of those that fill the image evenly: where a sample's label is looked up, too."""
    fine = located(*size)
    seen = thinned(fine, size)
    rows, columns = (math.ceil(side / 8) for side in size)
    assert seen.logits.shape[2:] == seen.features.shape[2:] == (rows, columns)
    for row, column in np.ndindex(rows, columns):
        at = int((row + 0.5) * size[0] / rows), int((column + 0.5) * size[1] / columns)
        assert torch.equal(seen.features[:, :, row, column], fine.features[:, :, at[0], at[1]])


@pytest.mark.parametrize("stride", [8, 16])
def test_a_prediction_as_coarse_as_most_is_looked_at_as_it_is(stride: int) -> None:
    prediction = located(64 // stride, 128 // stride)
    assert thinned(prediction, (64, 128)) is prediction
