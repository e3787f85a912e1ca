"""Colour transfer in Lab against CIE's definition, computed with NumPy in float64, and against known colours."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import FDA, Labelled, LabTransfer, Unlabelled
from platform.methods.composition import Composition
from platform.methods.translation.lab import statistics, to_lab, to_rgb, transferred
from tests.support.tiny_splits import SIZE, training_run

COLOURS = {
    "black": ((0, 0, 0), (0.0, 0.0, 0.0)),
    "white": ((255, 255, 255), (100.0, 0.0, 0.0)),
    "grey": ((128, 128, 128), (53.585, 0.0, 0.0)),
    "red": ((255, 0, 0), (53.24, 80.09, 67.20)),
    "green": ((0, 255, 0), (87.73, -86.18, 83.18)),
    "blue": ((0, 0, 255), (32.30, 79.19, -107.86)),
    "yellow": ((255, 255, 0), (97.14, -21.55, 94.48)),
    "cyan": ((0, 255, 255), (91.11, -48.09, -14.13)),
    "magenta": ((255, 0, 255), (60.32, 98.23, -60.82)),
}
"""sRGB and Lab under D65, as tables print them."""

PRIMARIES = np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]])
WHITE_POINT = np.array([0.95047, 1.0, 1.08883])


def matrix() -> np.ndarray:
    """Linear sRGB to XYZ, from the chromaticities of the primaries and the white of D65."""
    xyz = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in PRIMARIES]).T
    result: np.ndarray = xyz * np.linalg.solve(xyz, WHITE_POINT)
    return result


def lab_of(rgb: np.ndarray) -> np.ndarray:
    """CIE 15, with its rational constants; sRGB as IEC 61966-2-1 has it, its line continued below 0."""
    c = rgb / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((np.maximum(c, 0) + 0.055) / 1.055) ** 2.4)
    xyz = np.einsum("ij,bjhw->bihw", matrix(), linear) / WHITE_POINT[:, None, None]
    epsilon, kappa = 216 / 24389, 24389 / 27
    x, y, z = np.where(xyz > epsilon, np.cbrt(xyz), (kappa * xyz + 16) / 116).swapaxes(0, 1)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def rgb_of(lab: np.ndarray) -> np.ndarray:
    lightness, a, b = lab.swapaxes(0, 1)
    fy = (lightness + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], 1)
    xyz = np.where(f**3 > 216 / 24389, f**3, (116 * f - 16) * 27 / 24389) * WHITE_POINT[:, None, None]
    linear = np.clip(np.einsum("ij,bjhw->bihw", np.linalg.inv(matrix()), xyz), 0, 1)
    result: np.ndarray = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return result


def translated(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """RGB((Lab(x_s) - mean_s) * deviation_t / deviation_s + mean_t), an image and a channel at a time."""
    lab, wanted = lab_of(source), lab_of(target)
    for image in range(len(lab)):
        for channel in range(3):
            own, other = lab[image, channel], wanted[image, channel]
            scale = other.std() / own.std() if own.std() > 1e-6 else 0.0
            lab[image, channel] = (own - own.mean()) * scale + other.mean()
    return rgb_of(lab)


def photographs(number: int, seed: int, low: int = 0, high: int = 256) -> Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(low, high, (number, 3, *SIZE))).float()


def batch(images: Tensor, first: int = 0) -> Unlabelled:
    return Unlabelled(images, torch.arange(first, first + len(images)))


def labelled(images: Tensor) -> Labelled:
    positions = torch.arange(len(images))
    return Labelled(images, torch.zeros(len(images), *SIZE).long(), positions, positions * 0)


@pytest.mark.parametrize(("rgb", "lab"), COLOURS.values(), ids=COLOURS)
def test_known_colours(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    colour = torch.tensor(rgb).float().view(1, 3, 1, 1)
    np.testing.assert_allclose(to_lab(colour).flatten().numpy(), lab, atol=0.02)
    np.testing.assert_allclose(to_rgb(to_lab(colour)).flatten().numpy(), rgb, atol=0.05)


def test_every_colour_is_that_of_the_definition_and_comes_back() -> None:
    steps = [*range(0, 256, 15), 1, 10, 11, 254]
    lattice = torch.tensor([[r, g, b] for r in steps for g in steps for b in steps]).float().T.reshape(1, 3, -1, 1)
    np.testing.assert_allclose(to_lab(lattice).numpy(), lab_of(lattice.double().numpy()), atol=2e-3)
    np.testing.assert_allclose(to_rgb(to_lab(lattice)).numpy(), lattice.numpy(), atol=0.02)


def test_the_transfer_is_that_of_the_equation() -> None:
    source, target = photographs(3, 0), photographs(3, 1, 40, 180) * torch.tensor([1.0, 0.8, 0.6]).view(3, 1, 1)
    result = LabTransfer().translate(labelled(source), batch(target), {})
    np.testing.assert_allclose(result.numpy(), translated(source.double().numpy(), target.double().numpy()), atol=0.05)
    assert result.dtype == torch.float32


def test_without_clipping_the_image_has_the_targets_means_and_deviations() -> None:
    source, target = photographs(2, 0, 110, 150), photographs(2, 1, 90, 140)
    result = LabTransfer().translate(labelled(source), batch(target), {})
    assert ((result > 0) & (result < 255)).all()
    torch.testing.assert_close(statistics(to_lab(result)), statistics(to_lab(target)), atol=1e-2, rtol=1e-3)


def test_an_image_keeps_its_own_statistics() -> None:
    source = photographs(2, 0)
    torch.testing.assert_close(transferred(source, statistics(to_lab(source))), source, atol=0.05, rtol=0)


def test_statistics_are_those_of_numpy() -> None:
    lab = torch.from_numpy(np.random.default_rng(0).normal(30, 20, (2, 3, 5, 7))).float()
    mean, deviation = statistics(lab).unbind(1)
    np.testing.assert_allclose(mean[..., 0, 0], lab.numpy().mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(deviation[..., 0, 0], lab.numpy().std((2, 3)), rtol=1e-5)


@pytest.mark.parametrize("grey", [0.0, 100.0, 255.0])
def test_a_flat_image_takes_the_targets_mean_and_stays_flat(grey: float) -> None:
    source, target = torch.full((1, 3, *SIZE), grey), photographs(1, 1, 80, 160)
    result = LabTransfer().translate(labelled(source), batch(target), {})
    expected = rgb_of(lab_of(target.double().numpy()).mean((2, 3), keepdims=True))
    np.testing.assert_allclose(result.numpy(), np.broadcast_to(expected, result.shape), atol=0.5)


def test_a_flat_target_makes_the_source_flat() -> None:
    result = LabTransfer().translate(labelled(photographs(1, 0)), batch(torch.full((1, 3, *SIZE), 77.0)), {})
    torch.testing.assert_close(result, torch.full_like(result, 77.0), atol=0.05, rtol=0)


def test_a_target_image_is_measured_once_and_remembered_small() -> None:
    method, memory = LabTransfer(), dict[int, Tensor]()
    source, target = labelled(photographs(2, 0)), photographs(2, 1, 50, 200)
    first = method.translate(source, Unlabelled(target, torch.tensor([4, 7])), memory)
    assert {index: tuple(kept.shape) for index, kept in memory.items()} == {4: (2, 3, 1, 1), 7: (2, 3, 1, 1)}
    again = method.translate(source, Unlabelled(target * 0, torch.tensor([4, 7])), memory)
    assert torch.equal(first, again)
    swapped = method.translate(source, Unlabelled(target * 0, torch.tensor([7, 4])), memory)
    expected = translated(source.images.double().numpy(), target.flip(0).double().numpy())
    np.testing.assert_allclose(swapped.numpy(), expected, atol=0.05)


def test_values_beyond_a_screens_are_translated_too() -> None:
    """FDA before it may leave [0, 255]: nothing may become NaN, and what comes out is what a screen has."""
    source, target = 400 * torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0)) - 70, photographs(2, 1)
    result = LabTransfer().translate(labelled(source), batch(target), {})
    np.testing.assert_allclose(result.numpy(), translated(source.double().numpy(), target.double().numpy()), atol=0.1)
    assert ((result >= 0) & (result <= 255)).all()


def test_after_fda_it_translates_what_fda_gave() -> None:
    source, target = labelled(photographs(2, 0)), batch(photographs(2, 1, 0, 60))
    lent = FDA(beta=0.3).translate(source, target, {})
    assert (lent < 0).any()
    composed = Composition((FDA(beta=0.3), LabTransfer())).translate(source, target, {})
    expected = LabTransfer().translate(replace(source, images=lent), target, {})
    assert torch.equal(composed.images, expected)
    assert torch.equal(composed.labels, source.labels)


def test_images_are_translated_outside_half_precision() -> None:
    """In bfloat16 a colour has eight bits before its cube root is taken."""
    half, full = training_run(LabTransfer()), training_run(LabTransfer())
    half.arithmetic = replace(half.arithmetic, type=torch.bfloat16)
    seen: list[Tensor] = []
    for run in (half, full):
        run.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        run.advance(1)
    assert torch.equal(*seen)


def test_it_has_no_hyperparameter_and_adds_no_loss() -> None:
    assert vars(LabTransfer()) == {}
    noted = training_run(LabTransfer()).advance(1)
    assert [name for name in noted if name.startswith("loss/")] == ["loss/cross_entropy"]
