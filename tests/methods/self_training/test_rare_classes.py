"""Rare-class sampling against drawing as DAFormer's loader does: a class first, then an image that holds it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from platform.methods import Labelled, RareClassSampling
from platform.methods.self_training.rare_classes import pixels_of_classes, shares
from platform.shifts.labels import NUM_CLASSES, VOID
from platform.shifts.shift import LabelledImages, Splits
from tests.support.tiny_splits import SIZE, images, splits, training_run

PIXELS = np.array(
    [[900, 80, 0, 20], [500, 0, 0, 0], [0, 0, 0, 0], [700, 300, 0, 0], [10, 0, 0, 5]],
)
"""Of four classes in five images, of which one is void, as is one class in all."""


def daformer(pixels: np.ndarray, temperature: float, draws: int, seed: int = 0) -> np.ndarray:
    """How often each image is drawn: a class by softmax((1 - f) / T), then one of the images that hold it."""
    random = np.random.default_rng(seed)
    counts = {c: int(pixels[:, c].sum()) for c in range(pixels.shape[1]) if pixels[:, c].any()}
    rarity = np.array([1 - n / sum(counts.values()) for n in counts.values()]) / temperature
    exponentials = np.exp(rarity - rarity.max())
    holding = {c: [i for i in range(len(pixels)) if pixels[i, c] > 0] for c in counts}
    drawn = np.zeros(len(pixels), int)
    classes = random.choice(list(counts), draws, p=exponentials / exponentials.sum())
    for c, which in zip(classes.tolist(), random.random(draws).tolist(), strict=True):
        drawn[holding[c][int(which * len(holding[c]))]] += 1
    return drawn / draws


@pytest.mark.parametrize("temperature", [0.01, 0.3, 10.0])
def test_shares_are_the_frequencies_of_200_000_draws(temperature: float) -> None:
    draws = 200_000
    probability = shares(PIXELS, temperature)
    error = np.abs(daformer(PIXELS, temperature, draws) - probability)
    assert (error <= 5 * np.sqrt(probability * (1 - probability) / draws)).all()


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1e-3])
def test_shares_are_the_sum_over_classes_of_the_paper(temperature: float) -> None:
    total = PIXELS.sum()
    weights = {c: math.exp((1 - PIXELS[:, c].sum() / total) / temperature - 1 / temperature) for c in (0, 1, 3)}
    expected = [
        sum(weights[c] / sum(weights.values()) / sum(1 for other in PIXELS if other[c]) for c in weights if image[c])
        for image in PIXELS
    ]
    np.testing.assert_allclose(shares(PIXELS, temperature), expected, rtol=1e-9)
    assert sum(expected) == pytest.approx(1)


def test_at_a_low_temperature_only_images_with_the_rarest_class_are_drawn() -> None:
    np.testing.assert_allclose(shares(PIXELS, 1e-6), [0.5, 0, 0, 0, 0.5])


def test_at_a_high_temperature_all_classes_are_drawn_alike() -> None:
    expected = [1 / 4 + 1 / 2 + 1 / 2, 1 / 4, 0, 1 / 4 + 1 / 2, 1 / 4 + 1 / 2]
    np.testing.assert_allclose(shares(PIXELS, 1e9), np.array(expected) / 3, rtol=1e-6)


def test_one_image_is_always_drawn() -> None:
    assert shares(PIXELS[:1], 0.01).tolist() == pytest.approx([1.0])


def test_an_image_without_any_class_is_never_drawn_and_void_is_no_class() -> None:
    split = labelled_as([np.full(SIZE, VOID), np.full(SIZE, 3), np.concatenate([np.full(SIZE, 3), np.full(SIZE, 18)])])
    pixels = pixels_of_classes(split)
    expected = np.zeros((3, NUM_CLASSES), int)
    expected[1, 3] = SIZE[0] * SIZE[1]
    expected[2, [3, 18]] = SIZE[0] * SIZE[1] // 2
    np.testing.assert_array_equal(pixels, expected)
    weights = RareClassSampling().weights(split)
    assert weights[0] == 0
    assert weights.sum() == pytest.approx(1)


def test_where_every_pixel_is_void_there_is_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match=r"RareClassSampling needs pixels with a class.*leave it out"):
        RareClassSampling().weights(labelled_as([np.full(SIZE, VOID)] * 2))


def labelled_as(labels: list[np.ndarray]) -> LabelledImages:
    """Labels of one size, of which those that are taller leave every second row out."""
    stacked = np.stack([each[:: len(each) // SIZE[0]] for each in labels]).astype(np.uint8)
    return LabelledImages(images(len(labels), 0), stacked)


def skewed_splits() -> Splits:
    """Five source images, of which the last alone holds a rare class, and one is void."""
    labels = [np.full(SIZE, 0), np.full(SIZE, 0), np.full(SIZE, VOID), np.full(SIZE, 1), np.full(SIZE, 0)]
    labels[4][:4] = 7
    return replace(splits(), source_train=labelled_as(labels))


def test_batches_follow_the_shares() -> None:
    """From the run's own batches, which draw with replacement."""
    run = training_run(RareClassSampling(temperature=0.5), skewed_splits())
    probability = shares(pixels_of_classes(run.splits.source_train), 0.5)
    assert len(set(probability.round(3).tolist())) == 4
    counted = np.zeros(5, int)
    steps = 600
    for step in range(steps):
        batch = run.batches.at(step)["source"]
        assert isinstance(batch, Labelled)
        assert len(batch.indices) == 2
        counted += np.bincount(batch.indices.numpy(), minlength=5)
    error = np.abs(counted / (2 * steps) - probability)
    assert (error <= 5 * np.sqrt(probability * (1 - probability) / (2 * steps))).all()


def test_published_defaults() -> None:
    assert vars(RareClassSampling()) == {"temperature": 0.01}
