"""The recipe: what every method of a comparison shares."""

from dataclasses import dataclass
from typing import Literal

from platform.networks.bisenet import BiSeNet18
from platform.networks.hyperparameters import check, hyperparameter
from platform.networks.network import Architecture

PUBLISHED = BiSeNet18()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Network, optimiser, schedule, batch, augmentation and batch norm; defaults as Yu et al. trained BiSeNet.

    BiSeNet: Yu et al., ECCV 2018, arXiv 1808.00897. Departures: batch 4 (published 16); augmentation flips, and the
    published one scales by 0.75 to 2 and crops as well.
    """

    learning_rate: float = hyperparameter(2.5e-2, above=0.0)
    """Learning rate of SGD, before `schedule`."""
    momentum: float = hyperparameter(0.9, at_least=0.0, below=1.0)
    weight_decay: float = hyperparameter(1e-4, at_least=0.0)
    power: float = hyperparameter(0.9, at_least=0.0)
    """Exponent of the polynomial decay, per step, of every optimiser's learning rate."""
    warm_up: float = hyperparameter(0.0, at_least=0.0, below=1.0)
    """Fraction of the steps over which every optimiser's learning rate rises, linearly; 0 is none, as published."""
    batch: int = hyperparameter(4, at_least=2)
    """Images of each domain per step; at least 2, since batch norm after a global pooling needs two values."""
    auxiliary_weight: float = hyperparameter(1.0, at_least=0.0)
    """Weight of the cross-entropy of each auxiliary head."""
    augmentation: Literal["none", "flip", "flip and crop"] = hyperparameter("flip")
    """Flip: horizontally, half of the images. Crop: scaled by 1 to 2, then cropped to the size."""
    batch_norm: Literal["mixed", "source", "frozen"] = hyperparameter("mixed")
    """Whose passes update the running statistics: all (as published), those of the source and of labelled images, or
    none."""
    network: Architecture = hyperparameter(PUBLISHED, kind=Architecture)
    """What is trained and deployed."""

    def schedule(self, step: int, steps: int) -> float:
        """The factor on every learning rate: min(1, (step + 1) / (warm_up * steps)) * (1 - step / steps) ** power.

        Steps count from 0, so that the first one is not lost on a rate of 0.
        """
        rise = min(1.0, (step + 1) / (self.warm_up * steps)) if self.warm_up else 1.0
        return float(rise * (1 - step / steps) ** self.power)

    def __post_init__(self) -> None:
        check(self)
