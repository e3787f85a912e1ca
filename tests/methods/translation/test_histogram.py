"""Histogram matching against quantiles, found one image, channel and level at a time, and against worked values."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import FDA, HistogramMatching, Labelled, LabTransfer, Unlabelled
from platform.methods.composition import Composition
from platform.methods.translation.histogram import cumulative, grey_levels, lookup_table, matched
from tests.support.tiny_splits import SIZE, training_run


def photographs(number: int, seed: int, low: int = 0, high: int = 256) -> Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(low, high, (number, 3, *SIZE))).float()


def batch(images: Tensor, first: int = 0) -> Unlabelled:
    return Unlabelled(images, torch.arange(first, first + len(images)))


def labelled(images: Tensor) -> Labelled:
    positions = torch.arange(len(images))
    return Labelled(images, torch.zeros(len(images), *images.shape[2:]).long(), positions, positions * 0)


def matched_by_quantiles(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """As scikit-image does: levels that the target lacks left out, and a line between those that it has."""
    result = np.empty(source.shape)
    for image in range(len(source)):
        for channel in range(3):
            own, other = source[image, channel], target[image, channel]
            levels, numbers = np.unique(other, return_counts=True)
            quantiles = np.cumsum(numbers) / other.size
            for level in np.unique(own):
                share = (own <= level).mean()
                result[image, channel][own == level] = np.interp(share, quantiles, levels)
    return result


def of_levels(*levels: int) -> Tensor:
    """One row of pixels of these grey levels, the same in each channel."""
    return torch.tensor(levels).float().expand(1, 3, 1, -1)


WORKED: dict[str, tuple[list[int], list[int], list[float]]] = {
    # F_s = 1/4, 1/2, 3/4, 1 at its levels; F_t the same at others.
    "one to one": ([0, 1, 2, 3], [10, 50, 60, 200], [10, 50, 60, 200]),
    "in any order": ([3, 0, 2, 1], [60, 10, 200, 50], [200, 10, 60, 50]),
    # F_s(5) = 1/2 lies between F_t(100) = 1/4 and F_t(200) = 1, at a third of the way.
    "between two levels": ([5, 5, 9, 9], [100, 200, 200, 200], [133 + 1 / 3, 133 + 1 / 3, 200, 200]),
    # F_s(5) = 1/4 is below F_t(100) = 1/2: the darkest that there is.
    "below the darkest": ([5, 9, 9, 9], [100, 100, 200, 200], [100, 200, 200, 200]),
    "a flat source": ([77, 77, 77, 77], [1, 2, 3, 250], [250, 250, 250, 250]),
    "a flat target": ([0, 10, 20, 255], [77, 77, 77, 77], [77, 77, 77, 77]),
    "black to white": ([0, 0, 0, 0], [255, 255, 255, 255], [255, 255, 255, 255]),
    "white to black": ([255, 255, 255, 255], [0, 0, 0, 0], [0, 0, 0, 0]),
}


@pytest.mark.parametrize(("source", "target", "expected"), WORKED.values(), ids=WORKED)
def test_worked_values(source: list[int], target: list[int], expected: list[float]) -> None:
    result = HistogramMatching().translate(labelled(of_levels(*source)), batch(of_levels(*target)), {})
    np.testing.assert_allclose(result[0].numpy(), np.broadcast_to(expected, (3, 1, 4)), rtol=1e-6)
    assert result.dtype == torch.float32


@pytest.mark.parametrize(("low", "high", "factor"), [(0, 256, 1), (40, 180, 1), (0, 37, 7), (254, 256, 1)])
def test_the_matching_is_that_of_the_quantiles(low: int, high: int, factor: int) -> None:
    """Of full histograms, narrow ones, such with gaps, and of two levels; each image to a target image of its own."""
    source, target = photographs(3, 0, 20, 230), photographs(3, 1, low, high) * factor
    source[1] = source[1] // 9 * 9
    result = HistogramMatching().translate(labelled(source), batch(target), {})
    np.testing.assert_allclose(result.numpy(), matched_by_quantiles(source.numpy(), target.numpy()), atol=1e-4)


def test_an_image_keeps_its_own_histogram() -> None:
    source = photographs(2, 0, 10, 90)
    assert torch.equal(matched(source, cumulative(grey_levels(source))), source)


def test_levels_that_the_source_tells_apart_keep_their_order() -> None:
    source, target = photographs(1, 0), photographs(1, 1, 100, 130)
    table = lookup_table(cumulative(grey_levels(source)), cumulative(grey_levels(target)))
    assert (table.diff() >= 0).all()
    assert table.min() >= 100
    assert table.max() == 129


def test_a_cumulative_histogram_counts_pixels() -> None:
    images = photographs(2, 0)
    counted = cumulative(grey_levels(images))
    expected = [[np.histogram(c, np.arange(257))[0].cumsum() for c in image] for image in images.numpy()]
    np.testing.assert_array_equal(counted.numpy(), expected)
    assert (counted[..., -1] == SIZE[0] * SIZE[1]).all()


def test_images_may_lie_in_memory_with_channels_last() -> None:
    source, target = photographs(2, 0), photographs(2, 1, 50, 100)
    last = source.contiguous(memory_format=torch.channels_last)
    first, second = (HistogramMatching().translate(labelled(each), batch(target), {}) for each in (source, last))
    assert torch.equal(first, second)


def test_a_target_image_is_counted_once_and_remembered_small() -> None:
    method, memory = HistogramMatching(), dict[int, Tensor]()
    source, target = labelled(photographs(2, 0)), photographs(2, 1, 50, 200)
    first = method.translate(source, Unlabelled(target, torch.tensor([4, 7])), memory)
    assert {index: kept.numel() * kept.element_size() for index, kept in memory.items()} == {4: 3072, 7: 3072}
    again = method.translate(source, Unlabelled(target * 0, torch.tensor([4, 7])), memory)
    assert torch.equal(first, again)
    swapped = method.translate(source, Unlabelled(target * 0, torch.tensor([7, 4])), memory)
    expected = matched_by_quantiles(source.images.numpy(), target.flip(0).numpy())
    np.testing.assert_allclose(swapped.numpy(), expected, atol=1e-4)


def test_after_another_translation_levels_are_rounded_and_clipped() -> None:
    source, target = labelled(photographs(2, 0)), batch(photographs(2, 1, 0, 60))
    lent = FDA(beta=0.3).translate(source, target, {})
    assert (lent < 0).any()
    assert (lent != lent.round()).any()
    composed = Composition((FDA(beta=0.3), HistogramMatching())).translate(source, target, {})
    levels = np.clip(np.rint(lent.numpy()), 0, 255)
    np.testing.assert_allclose(composed.images.numpy(), matched_by_quantiles(levels, target.images.numpy()), atol=1e-4)
    assert torch.equal(composed.labels, source.labels)


def test_another_translation_after_it_is_given_what_it_gave() -> None:
    source, target = labelled(photographs(2, 0)), batch(photographs(2, 1, 0, 60))
    own = HistogramMatching().translate(source, target, {})
    composed = Composition((HistogramMatching(), LabTransfer())).translate(source, target, {})
    assert torch.equal(composed.images, LabTransfer().translate(replace(source, images=own), target, {}))


def test_values_beyond_a_screens_are_taken_for_the_nearest() -> None:
    source = torch.tensor([-70.0, -0.4, 255.4, 330.0]).expand(1, 3, 1, -1)
    result = HistogramMatching().translate(labelled(source), batch(of_levels(10, 10, 90, 90)), {})
    assert result[0, 0, 0].tolist() == [10, 10, 90, 90]


def test_images_are_translated_outside_half_precision() -> None:
    half, full = training_run(HistogramMatching()), training_run(HistogramMatching())
    half.arithmetic = replace(half.arithmetic, type=torch.bfloat16)
    seen: list[Tensor] = []
    for run in (half, full):
        run.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        run.advance(1)
    assert torch.equal(*seen)


def test_it_has_no_hyperparameter_and_adds_no_loss() -> None:
    assert vars(HistogramMatching()) == {}
    noted = training_run(HistogramMatching()).advance(1)
    assert [name for name in noted if name.startswith("loss/")] == ["loss/cross_entropy"]
