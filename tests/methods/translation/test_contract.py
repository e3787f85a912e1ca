"""What every translation is after: source images nearer to their target image's style. A new one joins by one line."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from platform.methods import FDA, HistogramMatching, LabTransfer, Method
from platform.methods.translation.lab import to_lab
from platform.shifts import town
from tests.support.batches import labelled_batch, unlabelled_batch

SIZE, IMAGES = (64, 128), 12
BETA = 0.05
Style = Callable[[np.ndarray], np.ndarray]
"""What a method gives the source of the target: numbers of each of several images, RGB in [0, 255]."""


def amplitudes(images: np.ndarray) -> np.ndarray:
    """At the frequencies of FDA's band."""
    b = int(BETA * min(SIZE))
    centred = np.fft.fftshift(np.abs(np.fft.fft2(images)), (-2, -1))
    row, column = (side // 2 for side in SIZE)
    band: np.ndarray = centred[..., row - b : row + b + 1, column - b : column + b + 1]
    return band


def moments(images: np.ndarray) -> np.ndarray:
    """Mean and deviation of each channel in Lab."""
    lab = to_lab(torch.from_numpy(images)).numpy()
    return np.stack([lab.mean((2, 3)), lab.std((2, 3))])


def quantiles(images: np.ndarray) -> np.ndarray:
    """A hundred of each channel's."""
    each: np.ndarray = np.quantile(images.reshape(*images.shape[:2], -1), np.linspace(0.005, 0.995, 100), axis=-1)
    return each


TRANSLATIONS: list[tuple[Method, Style, float]] = [
    (FDA(beta=BETA), amplitudes, 1e-5),
    (LabTransfer(), moments, 0.01),
    (HistogramMatching(), quantiles, 0.05),
]
"""Each with what it matches, and the most that is left of the distance: of Lab what a screen cannot show is clipped."""


@pytest.mark.parametrize(("method", "style", "left"), TRANSLATIONS, ids=[str(method) for method, *_ in TRANSLATIONS])
def test_a_translation_takes_the_targets_style_on_town(method: Method, style: Style, left: float) -> None:
    data = town(size=SIZE, source_images=(IMAGES, 2), target_images=(IMAGES, 2, 2)).open()
    source = labelled_batch(data.source_train, range(IMAGES))
    target = unlabelled_batch(data.target_adapt, range(IMAGES))
    before, wanted = source.images.numpy().copy(), style(target.images.numpy())
    translated = method.translate(source, target, {}).numpy()

    def distance(images: np.ndarray) -> float:
        return float(np.abs(style(images) - wanted).mean())

    assert distance(translated) < left * distance(before)
    assert not np.array_equal(translated, before)
    assert np.array_equal(source.images.numpy(), before), "the batch that it was given is not changed"
