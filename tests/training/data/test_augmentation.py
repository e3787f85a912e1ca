"""Augmentation, checked with images that encode their own labels and positions."""

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.shifts.labels import VOID
from platform.shifts.randomness import generator
from platform.training.data.augmentation import FLIPS, LARGEST_SCALE, WINDOWS, augment, draw

HEIGHT, WIDTH = 32, 64


def encoded(number: int) -> tuple[Tensor, Tensor]:
    """Images whose channels are label, row and column, and the labels: blocks of classes and of void."""
    random = np.random.default_rng(0)
    blocks = torch.from_numpy(random.choice([*range(19), VOID], (number, HEIGHT // 8, WIDTH // 8)))
    labels = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)
    rows = torch.arange(HEIGHT)[:, None].expand(HEIGHT, WIDTH)
    columns = torch.arange(WIDTH).expand(HEIGHT, WIDTH)
    images = torch.stack([labels, rows.expand_as(labels), columns.expand_as(labels)], dim=1).float()
    return images, labels


def as_drawn(images: Tensor, labels: Tensor | None, kind: str, *address: int) -> tuple[Tensor, Tensor | None]:
    drawn = draw(kind, len(images), generator("test", *address))
    there = {name: torch.from_numpy(each) for name, each in drawn.items()}
    return augment(images, labels, there.get(FLIPS), there.get(WINDOWS))


def augmented(kind: str, number: int, *address: int) -> tuple[Tensor, Tensor]:
    images, changed = as_drawn(*encoded(number), kind, *address)
    assert changed is not None
    return images, changed


def test_none_changes_nothing() -> None:
    images, labels = encoded(2)
    result = as_drawn(images, labels, "none")
    assert result[0] is images
    assert result[1] is labels


@pytest.mark.parametrize("kind", ["none", "flip", "flip and crop"])
def test_shapes_types_and_values_stay(kind: str) -> None:
    images, labels = augmented(kind, 4)
    assert (images.shape, images.dtype) == ((4, 3, HEIGHT, WIDTH), torch.float32)
    assert (labels.shape, labels.dtype) == ((4, HEIGHT, WIDTH), torch.int64)
    assert set(labels.flatten().tolist()) <= {*range(19), VOID}
    assert images.min() >= 0
    assert images.max() < VOID + 1e-3


@pytest.mark.parametrize("kind", ["flip", "flip and crop"])
def test_half_of_the_images_are_flipped_and_their_labels_with_them(kind: str) -> None:
    images, _ = augmented(kind, 400)
    flipped = images[:, 2, 0, 0] > images[:, 2, 0, -1]
    assert 160 < flipped.sum() < 240


def test_a_flip_moves_whole_pixels() -> None:
    before, _ = encoded(20)
    images, labels = augmented("flip", 20)
    torch.testing.assert_close(labels.float(), images[:, 0], atol=0, rtol=0)
    for image, original in zip(images, before, strict=True):
        assert image.equal(original) or image.equal(original.flip(-1))


def test_a_crop_takes_labels_from_where_it_takes_the_image() -> None:
    """Inside a block the drawn label is what the image says; the image's own position channels say which block."""
    images, labels = augmented("flip and crop", 30)
    _, original = encoded(30)
    for number in range(30):
        rows, columns = images[number, 1], images[number, 2]
        # Half-way between two pixels either is the nearest, so those are left out.
        clear = ((rows % 1 - 0.5).abs() > 1e-3) & ((columns % 1 - 0.5).abs() > 1e-3)
        expected = original[number, rows.round().long(), columns.round().long()]
        assert clear.float().mean() > 0.8
        assert torch.equal(labels[number][clear], expected[clear])
        inside = (rows % 8 > 0.5) & (rows % 8 < 6.5) & (columns % 8 > 0.5) & (columns % 8 < 6.5)
        torch.testing.assert_close(images[number, 0][inside], labels[number][inside].float(), atol=0.01, rtol=0)


def test_crops_are_windows_of_the_same_shape_inside_the_image() -> None:
    images, _ = augmented("flip and crop", 200)
    rows, columns = images[:, 1], images[:, 2]
    height = rows[:, -1, 0] - rows[:, 0, 0]
    width = (columns[:, 0, -1] - columns[:, 0, 0]).abs()
    scales = (HEIGHT - 1) / height
    assert scales.min() > 0.99
    assert scales.max() < LARGEST_SCALE * 1.05
    assert scales.std() > 0.2
    torch.testing.assert_close(width / (WIDTH - 1), height / (HEIGHT - 1), atol=0.03, rtol=0)
    tops, lefts = rows[:, 0, 0], columns.amin((1, 2))
    assert tops.std() > 1
    assert lefts.std() > 2
    assert abs(np.corrcoef(tops, lefts)[0, 1]) < 0.9


@pytest.mark.parametrize("kind", ["flip", "flip and crop"])
def test_it_belongs_to_the_address(kind: str) -> None:
    first, again, other = (augmented(kind, 12, step) for step in (3, 3, 4))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("kind", ["none", "flip", "flip and crop"])
def test_images_without_labels_are_augmented_in_the_same_way(kind: str) -> None:
    images, labels = as_drawn(encoded(8)[0], None, kind)
    assert labels is None
    assert torch.equal(images, augmented(kind, 8)[0])


@pytest.mark.parametrize("kind", ["flip", "flip and crop"])
def test_the_batch_is_not_changed_in_place(kind: str) -> None:
    images, labels = encoded(6)
    as_drawn(images, labels, kind)
    assert torch.equal(images, encoded(6)[0])
    assert torch.equal(labels, encoded(6)[1])
