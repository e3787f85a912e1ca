"""Rounds of self-training computed otherwise: probabilities in float64, thresholds by sorting, losses by pixel."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from platform.shifts.labels import VOID
from platform.training.run import TrainingRun
from tests.support.parity import enlarged


def predicted(teacher: nn.Module, images: Tensor) -> np.ndarray:
    """A teacher's probabilities at the images' size, classes last, in float64."""
    with torch.no_grad():
        logits = enlarged(teacher.eval()(images).logits.double(), images).movedim(1, -1).numpy()
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def all_images(run: TrainingRun) -> Tensor:
    pixels = run.splits.target_adapt.pixels[list(range(len(run.splits.target_adapt)))]
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float()


def sorted_thresholds(p: np.ndarray, fraction: float, confidence: float) -> list[float]:
    """As the published code finds them, by sorting; but the fraction is kept, and a class without pixels is as any."""
    labels, probabilities, found = p.argmax(axis=-1), p.max(axis=-1), []
    for number in range(19):
        of_class = np.sort(probabilities[labels == number])[::-1]
        wanted = math.floor(fraction * len(of_class))
        found.append(min(of_class[wanted - 1] if wanted else 1.0, confidence))
    return found


def mean_cross_entropy(logits: Tensor, labels: np.ndarray) -> Tensor:
    """-mean of log p over the labelled pixels, a pixel at a time."""
    log_p = logits.log_softmax(dim=1)
    terms = [
        -log_p[image, labels[image, row, column], row, column]
        for image, row, column in np.ndindex(labels.shape)
        if labels[image, row, column] != VOID
    ]
    return torch.stack(terms).mean()
