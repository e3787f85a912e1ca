"""Rare-class sampling (Hoyer et al., DAFormer, CVPR 2022, arXiv 2111.14887).

With f_c the fraction of the source's labelled pixels that are of class c, a class is drawn with probability

    P(c) = exp((1 - f_c) / T) / sum_c' exp((1 - f_c') / T)

and then an image, evenly among the N_c that hold it: an image has the probability sum_c [c in image] P(c) / N_c.

Departures: one pixel suffices for an image to hold a class (published: more than 3000); the recipe's augmentation crops
without looking at classes (published: up to ten crops, until one holds more than 1500 pixels of the class).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int64

from platform.methods.method import Method
from platform.networks.hyperparameters import hyperparameter
from platform.shifts.labels import NUM_CLASSES
from platform.shifts.shift import LabelledImages


@dataclass(frozen=True, kw_only=True)
class RareClassSampling(Method):
    """Draw source images with rare classes more often."""

    reads: ClassVar[frozenset[str]] = frozenset({"source"})

    temperature: float = hyperparameter(0.01, above=0.0)
    """T: the lower, the more only the rarest classes count."""

    def weights(self, labelled: LabelledImages) -> Float[np.ndarray, " number"]:
        return shares(pixels_of_classes(labelled), self.temperature)


def pixels_of_classes(labelled: LabelledImages) -> Int64[np.ndarray, "number classes"]:
    """How many pixels of each class each image has."""
    images = (labelled.labels[[position]].ravel() for position in range(len(labelled)))
    return np.stack([np.bincount(labels, minlength=256)[:NUM_CLASSES] for labels in images])


def shares(pixels: Int64[np.ndarray, "number classes"], temperature: float) -> Float[np.ndarray, " number"]:
    """The probability of each image; one without any class is never drawn.

    Raises ValueError where no image has any.
    """
    if not pixels.any():
        raise ValueError(
            "RareClassSampling needs pixels with a class, and every pixel of the source is void; leave it out"
        )
    held = pixels[:, pixels.any(axis=0)]
    exponents = (1 - held.sum(axis=0) / held.sum()) / temperature
    drawn = np.exp(exponents - exponents.max())
    probability: Float[np.ndarray, " number"] = (held > 0) @ (drawn / drawn.sum() / (held > 0).sum(axis=0))
    return probability
