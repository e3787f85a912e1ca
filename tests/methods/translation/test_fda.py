"""FDA against the paper's equation, computed with NumPy's full FFT in float64."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import FDA, Adversarial, SourceOnly
from platform.methods.batch import Labelled, Unlabelled
from platform.methods.translation.fda import band, lend_amplitudes, low_frequencies, robust_entropy, smallest_beta
from platform.shifts import town
from platform.shifts.randomness import generator
from platform.training.data.augmentation import FLIPS, augment, draw
from tests.support.arrays import all_of
from tests.support.batches import labelled_batch, unlabelled_batch
from tests.support.tiny_splits import SIZE, images_of, labelled, splits, step_of, training_run

CASES = [
    (height, width, b)
    for height, width in [(32, 64), (33, 64), (32, 65), (33, 65), (7, 9), (9, 7), (12, 12), (64, 20), (2, 3), (1, 1)]
    for b in sorted({0, 1, 2, 5, (min(height, width) - 1) // 2})
    if 2 * b < min(height, width)
]
"""Sizes, even and odd, with bands from the mean alone to the widest that a size allows."""


def published(source: np.ndarray, target: np.ndarray, b: int) -> np.ndarray:
    """The authors' NumPy code written anew: swap |u|, |v| <= b of the centred amplitude spectra. Complex."""
    source_spectrum = np.fft.fft2(source, axes=(-2, -1))
    target_spectrum = np.fft.fft2(target, axes=(-2, -1))
    amplitude = np.fft.fftshift(np.abs(source_spectrum), axes=(-2, -1))
    lent = np.fft.fftshift(np.abs(target_spectrum), axes=(-2, -1))
    row, column = source.shape[-2] // 2, source.shape[-1] // 2
    window = (..., slice(row - b, row + b + 1), slice(column - b, column + b + 1))
    amplitude[window] = lent[window]
    amplitude = np.fft.ifftshift(amplitude, axes=(-2, -1))
    return np.fft.ifft2(amplitude * np.exp(1j * np.angle(source_spectrum)), axes=(-2, -1))


def photographs(number: int, height: int, width: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, 256, (number, 3, height, width))).to(dtype)


def transferred(source: Tensor, target: Tensor, b: int) -> Tensor:
    return lend_amplitudes(source, low_frequencies(target, b).abs(), b)


@pytest.mark.parametrize(("height", "width", "b"), CASES)
def test_equals_the_full_fft(height: int, width: int, b: int) -> None:
    source, target = photographs(2, height, width, 0), photographs(2, height, width, 1)
    expected = published(source.numpy(), target.numpy(), b)
    assert np.abs(expected.imag).max() < 1e-10
    np.testing.assert_allclose(transferred(source, target, b).numpy(), expected.real, atol=1e-9)


@pytest.mark.parametrize(("height", "width", "b"), CASES)
def test_changes_amplitudes_in_the_window_and_nothing_else(height: int, width: int, b: int) -> None:
    source, target = photographs(1, height, width, 0), photographs(1, height, width, 1)
    result = transferred(source, target, b)
    assert result.dtype == torch.float64
    before, lent, after = (torch.fft.fft2(x) for x in (source, target, result))
    u, v = np.fft.fftfreq(height, 1 / height).round(), np.fft.fftfreq(width, 1 / width).round()
    window = torch.from_numpy((np.abs(u) <= b)[:, None] & (np.abs(v) <= b)[None, :])
    torch.testing.assert_close(after[..., window].abs(), lent[..., window].abs(), atol=1e-7, rtol=1e-9)
    torch.testing.assert_close(after[..., ~window], before[..., ~window], atol=1e-7, rtol=1e-9)
    torch.testing.assert_close(after * before.abs(), after.abs() * before, atol=1e-3, rtol=1e-9)


def test_low_frequencies_are_a_part_of_the_spectrum() -> None:
    source, b = photographs(2, 18, 25, 0), 4
    spectrum = torch.fft.fft2(source)
    expected = torch.cat([spectrum[..., -b:, : b + 1], spectrum[..., : b + 1, : b + 1]], dim=-2)
    torch.testing.assert_close(low_frequencies(source, b), expected)


def test_its_own_amplitudes_leave_an_image_as_it_is() -> None:
    source = photographs(2, 24, 32, 0)
    torch.testing.assert_close(transferred(source, source, 5), source, atol=1e-10, rtol=0)


def test_a_band_of_0_sets_the_mean_alone() -> None:
    source, target = photographs(2, 24, 32, 0), photographs(2, 24, 32, 1)
    expected = source - source.mean((2, 3), keepdim=True) + target.mean((2, 3), keepdim=True)
    torch.testing.assert_close(transferred(source, target, 0), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_black_image_has_phase_0_everywhere(dtype: torch.dtype) -> None:
    source, target = torch.zeros(1, 3, 16, 24, dtype=dtype), photographs(1, 16, 24, 1, dtype)
    expected = published(source.double().numpy(), target.double().numpy(), 3).real
    np.testing.assert_allclose(transferred(source, target, 3).numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("grey", [1.0, 128.0, 255.0])
def test_a_uniform_image_takes_the_targets_amplitudes(grey: float, dtype: torch.dtype) -> None:
    """Its phases are rounding errors wherever the amplitude is 0, so only the amplitudes are defined."""
    source, target = torch.full((1, 3, 16, 24), grey, dtype=dtype), photographs(1, 16, 24, 1, dtype)
    amplitudes = low_frequencies(transferred(source, target, 3), 3)[..., 1:].abs()
    torch.testing.assert_close(amplitudes, low_frequencies(target, 3)[..., 1:].abs(), rtol=1e-3, atol=1e-2)


def test_a_black_target_takes_the_low_frequencies_away() -> None:
    result = transferred(photographs(1, 16, 24, 0), torch.zeros(1, 3, 16, 24, dtype=torch.float64), 3)
    assert result.isfinite().all()
    assert low_frequencies(result, 3).abs().max() < 1e-9


@pytest.mark.parametrize("b", [5, 46])
def test_float32_errs_by_less_than_a_hundredth_of_a_grey_level(b: int) -> None:
    """Measured: 4e-4 at the published size. The images come as a batch does, with the colours innermost in memory."""
    source, target = photographs(1, 512, 1024, 0, torch.float32), photographs(1, 512, 1024, 1, torch.float32)
    target = target * torch.linspace(0.2, 1, 1024)
    expected = transferred(source.double(), target.double(), b)
    result = transferred(source.contiguous(memory_format=torch.channels_last), target, b)
    assert (result.double() - expected).abs().max() < 1e-2


@pytest.mark.parametrize(("size", "b"), [((32, 64), 16), ((33, 64), 17), ((64, 20), 10), ((1, 1), 1)])
def test_a_band_of_half_the_shorter_side_is_refused(size: tuple[int, int], b: int) -> None:
    source = torch.zeros(1, 3, *size)
    message = f"FDA's band must be below half the shorter side, {min(size)}, got {b}; lower beta"
    with pytest.raises(ValueError, match=message):
        lend_amplitudes(source, torch.zeros(1, 3, 2 * b + 1, b + 1), b)


@pytest.mark.parametrize(
    ("beta", "shorter", "expected"),
    [
        (0.0, 512, 0),
        (0.01, 512, 5),
        (0.05, 512, 25),
        (0.09, 512, 46),
        (0.1, 512, 51),
        (0.0117, 512, 5),
        (0.499, 512, 255),
    ],
)
def test_band(beta: float, shorter: int, expected: int) -> None:
    assert band(beta, shorter) == expected


@pytest.mark.parametrize("shorter", [*range(1, 257), *range(257, 2048, 97), 512, 720, 1024, 1052, 2048])
def test_smallest_beta_inverts_band(shorter: int) -> None:
    for number in range((shorter - 1) // 2 + 1):
        beta = smallest_beta(number, shorter)
        assert band(beta, shorter) == number
        assert beta == round(beta, 6)
        assert 0 <= beta < 0.5
        assert number == 0 or band(round(beta - 1e-6, 6), shorter) < number
        FDA(beta=beta)


@pytest.mark.parametrize("size", [(32, 64), (64, 32), (512, 1024), (33, 47)])
def test_no_beta_that_is_admitted_gives_a_band_that_is_refused(size: tuple[int, int]) -> None:
    largest = math.nextafter(0.5, 0)
    FDA(beta=largest)
    assert 2 * band(largest, min(size)) < min(size)


@pytest.mark.parametrize("beta", [0.5, -0.01, math.nan])
def test_other_betas_are_refused(beta: float) -> None:
    with pytest.raises(ValueError, match=r"FDA\.beta must be (at least 0\.0 and below 0\.5|finite), got"):
        FDA(beta=beta)


def test_beta_acts_through_the_band() -> None:
    integer = FDA.integer("beta", (512, 1024))
    assert integer is not None
    assert integer.name == "band"
    assert [integer.of(beta) for beta in (0.0, 0.01, 0.0117, 0.012)] == [0, 5, 5, 6]
    assert integer.value(5) == 0.009766
    assert FDA.integer("beta", (1024, 512)).of(0.01) == 5  # type: ignore[union-attr]
    assert FDA.integer("eta", (512, 1024)) is None
    assert Adversarial.integer("width", (512, 1024)) is None


def test_a_target_image_is_transformed_once_and_remembered_small() -> None:
    method, memory = FDA(beta=0.1), dict[int, Tensor]()
    labels, positions = torch.zeros(2, *SIZE).long(), torch.tensor([0, 1])
    source = Labelled(photographs(2, *SIZE, 0, torch.float32), labels, positions, torch.zeros_like(positions))
    target = photographs(2, *SIZE, 1, torch.float32)
    first = method.translate(source, Unlabelled(target, torch.tensor([4, 7])), memory)
    assert {index: tuple(kept.shape) for index, kept in memory.items()} == {4: (3, 7, 4), 7: (3, 7, 4)}
    remembered = dict(memory)

    second = method.translate(source, Unlabelled(target.flip(0), torch.tensor([7, 4])), memory)
    assert all(memory[index] is remembered[index] for index in (4, 7))
    np.testing.assert_allclose(
        first, published(source.images.double().numpy(), target.double().numpy(), 3).real, atol=1e-3
    )
    np.testing.assert_allclose(
        second, published(source.images.double().numpy(), target.flip(0).double().numpy(), 3).real, atol=1e-3
    )


def test_a_run_lends_to_the_raw_source_and_augments_afterwards() -> None:
    """Images are in [0, 255], before the flips and before the network's normalisation."""
    data = splits()
    run = training_run(FDA(beta=0.1), data, augmentation="flip")
    for step in range(6):
        run.step = step
        batch = step_of(run)
        source = labelled_batch(data.source_train, batch.source.indices.tolist())
        target = unlabelled_batch(data.target_adapt, batch.target.indices.tolist())
        lent = torch.from_numpy(published(source.images.double().numpy(), target.images.double().numpy(), 3).real)
        flips = draw("flip", len(lent), generator(1, "augment labelled", step))[FLIPS]
        expected, labels = augment(lent, source.labels, torch.from_numpy(flips), None)
        torch.testing.assert_close(batch.source.images.double(), expected, atol=1e-3, rtol=0)
        assert labels is not None
        assert torch.equal(batch.source.labels, labels)


@pytest.mark.parametrize("eta", [0.5, 2.0, 3.7])
@pytest.mark.parametrize("scale", [0.01, 1.0, 200.0])
def test_robust_entropy(eta: float, scale: float) -> None:
    logits = np.random.default_rng(0).normal(0, scale, (2, 19, 3, 4))
    penalties = []
    for image in range(2):
        for row in range(3):
            for column in range(4):
                pixel = logits[image, :, row, column]
                p = np.exp(pixel - pixel.max())
                p /= p.sum()
                entropy = -sum(x * math.log(x) for x in p if x > 0) / math.log(19)
                penalties.append((entropy**2 + 1e-8) ** eta)
    assert robust_entropy(torch.from_numpy(logits), eta).item() == pytest.approx(sum(penalties) / 24, rel=1e-9)
    assert robust_entropy(torch.from_numpy(logits).float(), eta).item() == pytest.approx(sum(penalties) / 24, rel=1e-3)


def test_robust_entropy_is_1_for_uniform_predictions_and_0_for_certain_ones() -> None:
    assert robust_entropy(torch.zeros(1, 19, 2, 2), 2.0).item() == pytest.approx(1, rel=1e-6)
    certain = torch.zeros(1, 19, 2, 2)
    certain[:, 3] = 1e4
    certain.requires_grad_()
    entropy = robust_entropy(certain, 2.0)
    torch.autograd.backward(entropy)
    assert entropy.item() == pytest.approx(1e-16, abs=1e-12)
    assert certain.grad is not None
    assert certain.grad.isfinite().all()


def test_the_entropy_falls_where_it_has_weight() -> None:
    """On town, beside nearly none, since without any it is not computed."""
    data = town(size=(32, 64), source_images=(16, 4), target_images=(16, 4, 4)).open()
    runs = [training_run(FDA(beta=0.1, entropy_weight=weight), data, steps=30) for weight in (1.0, 1e-9)]
    for run in runs:
        run.advance(20)
    reached, untouched = (run.advance(10)["loss/entropy"] for run in runs)
    assert reached < 0.9 * untouched


def test_without_the_entropy_the_target_is_not_passed_through_the_network() -> None:
    assert "loss/entropy" not in training_run(FDA(entropy_weight=0.0)).advance(1)
    assert "loss/entropy" in training_run(FDA()).advance(1)


def test_a_target_of_the_same_amplitudes_teaches_what_the_source_alone_teaches() -> None:
    """Circular shifts of one image differ in their phases only."""
    data = splits()
    image = all_of(data.source_train.images.pixels)[0]
    shifted = [images_of(np.stack([np.roll(image, (seed + n, 5 * n), (0, 1)) for n in range(6)])) for seed in (0, 3)]
    data = replace(data, source_train=replace(labelled(6, 0), images=shifted[0]), target_adapt=shifted[1])
    lent = training_run(FDA(beta=0.3, entropy_weight=0.0), data, learning_rate=1e-3, batch=4)
    alone = training_run(SourceOnly(), data, learning_rate=1e-3, batch=4)
    torch.testing.assert_close(step_of(lent).source.images, step_of(alone).source.images, atol=1e-3, rtol=0)
    assert lent.advance(4) == pytest.approx(alone.advance(4), rel=1e-3)
