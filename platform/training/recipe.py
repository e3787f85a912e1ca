"""The recipe: what every method of a comparison shares."""

from dataclasses import dataclass
from typing import Literal

from platform.methods.hyperparameters import check, hyperparameter
from platform.networks.bisenet import BiSeNet
from platform.networks.network import Network


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Network, optimiser, schedule, batch, augmentation and batch norm; defaults as BiSeNet's original study used them.

    BiSeNet: Yu et al., ECCV 2018, arXiv 1808.00897. Departures: batch 4 (published 16), no warm-up.
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
    """Whose passes update the running statistics: all (as published), the labelled ones only, or none."""
    network_width: float = hyperparameter(1.0, above=0.0, searchable=False)
    """Factor on every channel count of the network; 1 is the published network."""
    pretrained: bool = hyperparameter(False, choices=(False, True), searchable=False)
    """Whether the context path starts from ImageNet weights."""

    def schedule(self, step: int, steps: int) -> float:
        """The factor on every learning rate: min(1, (step + 1) / (warm_up * steps)) * (1 - step / steps) ** power.

        Steps count from 0, so that the first one is not lost on a rate of 0.
        """
        rise = min(1.0, (step + 1) / (self.warm_up * steps)) if self.warm_up else 1.0
        return float(rise * (1 - step / steps) ** self.power)

    def network(self) -> Network:
        """A new network, its random weights drawn from torch's generator."""
        return BiSeNet(width=self.network_width, pretrained=self.pretrained)

    def bare(self) -> "Recipe":
        """The default recipe with this network, not pretrained: equal for recipes whose networks cost the same."""
        return Recipe(network_width=self.network_width)

    def __post_init__(self) -> None:
        check(self)
        if self.pretrained and self.network_width != 1:
            raise ValueError(
                f"Recipe.pretrained must be False unless network_width is 1, got network_width={self.network_width!r}; "
                "ImageNet weights exist for the published width only"
            )
