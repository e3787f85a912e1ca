"""The colour jitter and the blur of mixed images: what they do to a pixel, how much is drawn, and how often."""

import colorsys
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from platform.methods.self_training import strong_augmentation
from platform.methods.self_training.strong_augmentation import strongly_augmented


def image(seed: int = 0, size: tuple[int, int] = (24, 32)) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((3, *size)))


def jittered(x: Tensor, order: list[int], factors: tuple[float, float, float] = (1, 1, 1), hue: float = 0.0) -> Tensor:
    amounts = np.array([[*factors, hue]]).T
    return strong_augmentation.jittered(x[None], np.array(order), amounts)[0]


def grey(x: np.ndarray) -> np.ndarray:
    """The grey of colours, by ITU-R 601-2."""
    weighed: np.ndarray = 0.2989 * x[0] + 0.587 * x[1] + 0.114 * x[2]
    return weighed


def brighter(x: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(x * factor, 0, 1)


def contrasted(x: np.ndarray, factor: float) -> np.ndarray:
    blended: np.ndarray = factor * x + (1 - factor) * grey(x).mean()
    return blended.clip(0, 1)


def saturated(x: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(factor * x + (1 - factor) * grey(x), 0, 1)


def turned(x: np.ndarray, hue: float) -> np.ndarray:
    result = np.empty_like(x)
    for row, column in np.ndindex(x.shape[1:]):
        h, s, v = colorsys.rgb_to_hsv(*x[:, row, column])
        result[:, row, column] = colorsys.hsv_to_rgb((h + hue) % 1, s, v)
    return result


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.25])
def test_each_change_is_the_equation_of_its_colour(factor: float) -> None:
    x = image()
    for position, change in enumerate((brighter, contrasted, saturated)):
        factors = [1.0, 1.0, 1.0]
        factors[position] = factor
        result = jittered(x, [position], (factors[0], factors[1], factors[2]))
        np.testing.assert_allclose(result.numpy(), change(x.numpy(), factor), atol=1e-3)


@pytest.mark.parametrize("hue", [-0.25, 0.0, 0.1, 0.25])
def test_a_change_of_hue_turns_it(hue: float) -> None:
    x = image()
    np.testing.assert_allclose(jittered(x, [3], hue=hue).numpy(), turned(x.numpy(), hue), atol=1e-6)


def test_the_changes_are_made_in_the_order_that_is_drawn() -> None:
    x = image()
    expected = contrasted(turned(saturated(brighter(x.numpy(), 1.2), 0.8), 0.1), 1.25)
    np.testing.assert_allclose(jittered(x, [0, 2, 3, 1], (1.2, 1.25, 0.8), 0.1).numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("sigma", [0.15, 0.4, 0.62, 0.63, 1.15])
def test_the_blur_is_a_gaussian_that_is_mirrored_at_the_border(sigma: float) -> None:
    """Against a window of 17 pixels, which leaves nothing out: within half a grey level."""

    x = image()
    offsets = np.arange(-8, 9)
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = np.pad(x.numpy(), ((0, 0), (8, 8), (8, 8)), mode="reflect")
    rows = sum(w * padded[:, 8 + o : 8 + o + 24] for w, o in zip(weights, offsets, strict=True))
    expected = sum(w * rows[..., 8 + o : 8 + o + 32] for w, o in zip(weights, offsets, strict=True))
    (result,) = strong_augmentation.blurred(x[None], np.array([sigma]))
    np.testing.assert_allclose(result.numpy(), expected, atol=0.5 / 255)


def batch() -> Tensor:
    """Three images: drawn, with a band of greys, and with a black column."""
    x = torch.stack([image(seed, (20, 30)) for seed in range(3)])
    x[1, :, :4], x[2, :, :, 3] = x[1, :1, :4], 0
    return x


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]])
def test_each_image_of_a_batch_is_changed_as_torchvision_changes_it(order: list[int]) -> None:
    changes = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    x, amounts = batch(), np.random.default_rng(0).uniform(-0.25, 0.25, (4, 3))
    amounts[:3] += 1
    for memory_format in (torch.contiguous_format, torch.channels_last):
        given = x.contiguous(memory_format=memory_format)
        result = strong_augmentation.jittered(given, np.array(order), amounts)
        for position, expected in enumerate(x):
            for change in order:
                expected = changes[change](expected, amounts[change, position])
            torch.testing.assert_close(result[position], expected, atol=2e-6, rtol=0)
        assert torch.equal(given, x)


def test_each_image_of_a_batch_is_blurred_as_torchvision_blurs_it() -> None:
    x, sigmas = batch(), np.array([0.15, 0.62, 1.15])
    for memory_format in (torch.contiguous_format, torch.channels_last):
        result = strong_augmentation.blurred(x.contiguous(memory_format=memory_format), sigmas)
        for blurred, before, sigma in zip(result, x, sigmas, strict=True):
            side = 2 * round(2 * sigma) + 3
            torch.testing.assert_close(blurred, functional.gaussian_blur(before, [side, side], [sigma, sigma]))


def test_a_blur_is_no_coarser_in_half_precision() -> None:
    x = batch().float()
    with torch.autocast("cpu", torch.bfloat16):
        result = strong_augmentation.blurred(x, np.array([0.5, 0.6, 0.7]))
    assert torch.equal(result, strong_augmentation.blurred(x, np.array([0.5, 0.6, 0.7])))


def test_eight_of_ten_batches_are_jittered_and_half_are_blurred_whichever_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strong_augmentation, "jittered", lambda x, *_: x + 1)
    monkeypatch.setattr(strong_augmentation, "blurred", lambda x, _: x + 2)
    random, black, draws = np.random.default_rng(0), torch.zeros(2, 3, 1, 1), 4000
    counted = np.zeros(4)
    for _ in range(draws):
        done = strongly_augmented(black, random) / 255
        assert done.min() == done.max()
        counted[int(done.max())] += 1
    expected = np.array([0.2 * 0.5, 0.8 * 0.5, 0.2 * 0.5, 0.8 * 0.5])
    assert (np.abs(counted / draws - expected) <= 5 * np.sqrt(expected * (1 - expected) / draws)).all()


def test_each_image_is_changed_by_amounts_of_its_own_within_the_published_ranges_and_all_in_one_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders: list[tuple[int, ...]] = []
    amounts: list[np.ndarray] = []
    sigmas: list[np.ndarray] = []

    def noted(x: Tensor, order: np.ndarray, factors: np.ndarray) -> Tensor:
        orders.append(tuple(order.tolist()))
        amounts.append(factors)
        return x

    def noted_blur(x: Tensor, drawn: np.ndarray) -> Tensor:
        sigmas.append(drawn)
        return x

    monkeypatch.setattr(strong_augmentation, "jittered", noted)
    monkeypatch.setattr(strong_augmentation, "blurred", noted_blur)
    random = np.random.default_rng(0)
    for _ in range(400):
        strongly_augmented(torch.zeros(2, 3, 1, 1), random)
    assert {*orders} == {*itertools.permutations(range(4))}
    limits = [(0.75, 1.25)] * 3 + [(-0.25, 0.25), (0.15, 1.15)]
    for drawn, (low, high) in zip([*np.stack(amounts, axis=1), np.stack(sigmas)], limits, strict=True):
        assert drawn.shape[1:] == (2,)
        assert np.all(drawn[:, 0] != drawn[:, 1])
        assert low <= drawn.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < drawn.max() <= high
        assert drawn.mean() == pytest.approx((low + high) / 2, abs=0.06)


def test_colours_that_no_screen_has_are_clipped_first() -> None:
    x = 355 * torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - 50
    for seed in range(20):
        result = strongly_augmented(x, np.random.default_rng(seed))
        assert result.dtype == torch.float32
        assert (result >= 0).all()
        assert (result <= 255.001).all()
        torch.testing.assert_close(result, strongly_augmented(x.clamp(0, 255), np.random.default_rng(seed)))


def test_what_is_neither_jittered_nor_blurred_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strong_augmentation, "JITTERED", 0.0)
    monkeypatch.setattr(strong_augmentation, "BLURRED", 0.0)
    x = 255 * image(3).float()[None]
    torch.testing.assert_close(strongly_augmented(x, np.random.default_rng(0)), x)
