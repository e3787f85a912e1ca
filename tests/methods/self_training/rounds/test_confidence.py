"""Histograms of probabilities and the ranks that they tell, against sorted lists of pixels."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods.self_training.rounds.confidence import BINS, as_probable, histogram, ranked
from platform.shifts.labels import VOID


def drawn(scale: float, seed: int = 0, classes: int = 19, dtype: torch.dtype = torch.float32) -> Tensor:
    """Probabilities of two images, surer with a larger scale."""
    logits = torch.randn(2, classes, 16, 24, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (scale * logits).softmax(dim=1).to(dtype)


def sorted_by_class(p: Tensor) -> list[list[float]]:
    """The largest probabilities of the pixels of each class, the largest first."""
    found: list[list[float]] = [[] for _ in range(p.shape[1])]
    for pixel in p.movedim(1, -1).flatten(0, 2).tolist():
        largest = max(pixel)
        found[pixel.index(largest)].append(largest)
    return [sorted(each, reverse=True) for each in found]


def most_doubtful(number: int) -> float:
    """The largest doubt in a bin: each halving of the doubt is cut into 1024 equal parts."""
    halvings, part = divmod(number, 1024)
    return float(0.5**halvings * (1 - part / 2048))


@pytest.mark.parametrize("scale", [0.1, 2.0, 10.0, 40.0])
def test_each_pixel_is_counted_in_the_bin_of_its_doubt(scale: float) -> None:
    p = drawn(scale)
    expected = np.zeros((19, BINS), np.int64)
    edges = np.array([most_doubtful(number) for number in range(BINS)])
    surest = p.max(dim=1)
    doubts, classes = (1 - surest.values).double().flatten().numpy(), surest.indices.flatten().numpy()
    for doubt, label in zip(doubts, classes, strict=True):
        expected[label, np.flatnonzero(edges >= doubt)[-1]] += 1
    np.testing.assert_array_equal(histogram(p).numpy(), expected)
    assert expected.sum() == 2 * 16 * 24


@pytest.mark.parametrize("scale", [0.1, 2.0, 10.0])
@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.66, 1.0])
def test_a_rank_is_that_of_the_sorted_pixels_to_a_part_in_a_thousand_of_the_doubt(
    scale: float, fraction: float
) -> None:
    p = drawn(scale)
    for found, pixels in zip(ranked(histogram(p), fraction).tolist(), sorted_by_class(p), strict=True):
        wanted = math.floor(fraction * len(pixels))
        exact = pixels[wanted - 1] if wanted else 1.0
        assert 0 <= exact - found <= (1 - exact) / 1000 + 1e-7
        assert sum(pixel >= found for pixel in pixels) >= wanted


def test_surer_pixels_than_0_999_are_told_apart() -> None:
    """The surest fifth of a class whose doubts lie between 1e-6 and 1e-3."""
    doubts = torch.logspace(-6, -3, 1000, dtype=torch.float64).view(1, 1, 20, 50)
    p = torch.cat([1 - doubts, doubts], dim=1).float()
    found = ranked(histogram(p), 0.2)
    assert abs(int((p[:, 0] >= found[0]).sum()) - 200) <= 5
    assert found[1] == 1


def test_equal_pixels_are_all_reached() -> None:
    for value in (1 / 19 + 1e-4, 0.25, 0.5, 0.9, 0.99999, 1.0):
        p = torch.full((2, 19, 3, 4), (1 - value) / 18)
        p[:, 7] = value
        threshold = ranked(histogram(p), 0.3)
        assert (p[:, 7] >= threshold[7]).all()
        assert (threshold[[number for number in range(19) if number != 7]] == 1).all()


def test_a_sum_that_was_rounded_above_1_is_a_probability_of_1() -> None:
    p = torch.zeros(1, 2, 1, 1)
    p[:, 1] = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))
    counts = histogram(p)
    assert counts[1, -1] == 1
    assert counts.sum() == 1


def test_images_may_be_counted_in_any_portions_and_in_any_precision() -> None:
    p = drawn(3.0)
    assert torch.equal(histogram(p[:1]) + histogram(p[1:]), histogram(p))
    assert torch.equal(histogram(p.double()), histogram(p))


def test_billions_of_pixels_are_ranked_exactly() -> None:
    """Float32 would know neither number from the next."""
    counts = torch.zeros(2, BINS, dtype=torch.int64)
    counts[:, 1024] = 3_000_000_001
    counts[0, 2048], counts[1, 2048] = 1_500_000_000, 1_500_000_001
    # Half of all, rounded down: 2,250,000,000 are more than those of the surer bin.
    assert ranked(counts, 0.5).tolist() == [0.5, 0.5]
    counts[:, 1024] = 1_500_000_001
    assert ranked(counts, 0.5).tolist() == [0.75, 0.75]
    counts[:, 1024] += 1
    assert ranked(counts, 0.5).tolist() == [0.5, 0.75]


def test_where_too_few_pixels_are_of_a_class_only_certain_ones_are_reached() -> None:
    p = torch.full((1, 3, 1, 4), 0.1)
    p[:, 1] = 0.8
    assert ranked(histogram(p), 0.24).tolist() == [1, 1, 1]
    assert ranked(histogram(p), 0.25)[1] == pytest.approx(0.8, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_labels_are_those_of_each_pixel_by_itself(dtype: torch.dtype) -> None:
    p, thresholds = drawn(2.0, dtype=dtype), torch.linspace(0.2, 0.9, 19, dtype=dtype)
    labels = as_probable(p, thresholds)
    for image, row, column in np.ndindex(2, 16, 24):
        pixel = p[image, :, row, column].tolist()
        best = pixel.index(max(pixel))
        assert labels[image, row, column] == (best if pixel[best] >= thresholds[best] else VOID)
    assert 0 < (labels == VOID).sum() < labels.numel()


def test_a_probability_of_exactly_the_threshold_is_enough_and_none_reaches_2() -> None:
    p = torch.zeros(1, 19, 2, 2)
    p[:, 5] = 0.75
    assert (as_probable(p, torch.full((19,), 0.75)) == 5).all()
    p[:, 5] = 1.0
    assert (as_probable(p, torch.full((19,), 2.0)) == VOID).all()
