"""What a network says of single images, place by place: what evidence is compared with."""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from platform.methods import SourceOnly
from platform.networks.network import Prediction
from platform.shifts.labels import NUM_CLASSES, VOID
from platform.shifts.shift import Images, LabelledImages, Oracle, Splits
from platform.training.run import TrainingRun
from tests.support.arrays import all_of
from tests.support.tiny_splits import SIZE, images, images_of, labelled, splits, training_run

LABEL_SIZE = (48, 96)


def splits_of(number: int, size: tuple[int, int] = SIZE) -> Splits:
    """Splits with so many val images, of any size; their labels are larger, or smaller."""
    source, target = (
        LabelledImages(
            images_of(all_of(images(number, seed, (size[0], 96)).pixels)[:, :, : size[1]].copy()),
            labelled(number, seed, LABEL_SIZE).labels,
        )
        for seed in (21, 22)
    )
    data = splits()
    oracle = Oracle(adapt=data.oracle.adapt, val=target, test=target)
    return dataclasses.replace(data, source_val=source, target_val=target.images, oracle=oracle)


def trained(data: Splits | None = None, **recipe: Any) -> TrainingRun:
    """A run of two steps, after which predictions of different images differ."""
    run = training_run(SourceOnly(), data, **recipe)
    run.advance(2)
    return run


def relabelled(split: LabelledImages, kind: str) -> LabelledImages:
    """The same images with other labels."""
    labels = all_of(split.labels).copy()
    match kind:
        case "permuted":
            labels = np.random.default_rng(0).permuted(labels.ravel()).reshape(labels.shape)
        case "other classes":
            labels = np.where(labels == VOID, VOID, (labels + 5) % NUM_CLASSES).astype(np.uint8)
        case "one class":
            labels[:] = 7
        case "another size":
            labels = labels.repeat(2, axis=1).repeat(2, axis=2)
    return dataclasses.replace(split, labels=labels)


def pixels_of(split: Images) -> Tensor:
    return torch.from_numpy(all_of(split.pixels).copy()).permute(0, 3, 1, 2).float()


def predicted(run: TrainingRun, pixels: Tensor) -> list[Prediction]:
    """What the network says of images, one by one."""
    run.network.eval()
    with torch.no_grad():
        every = [run.network(one[None], domain="target") for one in pixels]
    run.network.train()
    return every


def classes_of(predictions: list[Prediction]) -> np.ndarray:
    """The classes predicted at each place, image by image."""
    return np.concatenate([each.logits.argmax(dim=1).numpy() for each in predictions])


def counted(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Places of each (class before, class after), one by one."""
    counts = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)
    for first, second in zip(before.ravel(), after.ravel(), strict=True):
        counts[first, second] += 1
    return counts


def places_of(predictions: list[Prediction], number: int, logits: np.ndarray) -> list[tuple[int, int]]:
    """Where in an image the network says these logits, to half precision; the place that fits best comes first."""
    apart = np.abs(predictions[number].logits[0].numpy() - logits[:, None, None].astype(np.float32)).max(axis=0)
    near = np.argwhere(apart < 2e-3 * np.abs(logits).max() + 1e-5).tolist()
    return sorted(((row, column) for row, column in near), key=lambda place: float(apart[place]))


def coarser(module: nn.Module, inputs: Any, prediction: Prediction) -> Prediction:
    """A forward hook that makes of a network one of twice the stride."""
    logits, features = (functional.avg_pool2d(each, 2) for each in (prediction.logits, prediction.features))
    return Prediction(logits, (), features)


def located(rows: int, columns: int) -> Prediction:
    """Three images whose features say where they are, in fractions of the image."""
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    features = torch.stack([torch.stack([y, x, torch.full_like(y, number)]) for number in range(3)])
    return Prediction(torch.zeros(3, NUM_CLASSES, rows, columns), (), features)
