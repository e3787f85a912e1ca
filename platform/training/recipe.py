"""The recipe: what every method of a comparison shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from platform.networks.architectures.bisenet import BiSeNet18
from platform.networks.domain_specific import DomainSpecific
from platform.networks.hyperparameters import check, hyperparameter
from platform.networks.network import Architecture, Network
from platform.shifts.randomness import generator

PUBLISHED = BiSeNet18()
DOMAIN_SPECIFIC = "domain-specific"
DESCENT = (
    "optimiser",
    "learning_rate",
    "head_factor",
    "momentum",
    "weight_decay",
    "decays_vectors",
    "power",
    "warm_up",
    "auxiliary_weight",
)
"""The fields that say how losses are descended, of no use where there are none."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Network, optimiser, schedule, batch, augmentation and batch norm; defaults as Yu et al. trained BiSeNet.

    BiSeNet: Yu et al., ECCV 2018, arXiv 1808.00897. Departures: batch 4 (published 16); augmentation flips, and the
    published one scales by 0.75 to 2 and crops as well.
    """

    optimiser: Literal["SGD", "Adam", "AdamW"] = hyperparameter("SGD")
    """What the network descends by: SGD as published, Adam (Kingma and Ba, ICLR 2015, arXiv 1412.6980), or AdamW, which
    decays weights beside the gradient (Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101)."""
    learning_rate: float = hyperparameter(2.5e-2, above=0.0)
    """Learning rate of the network's optimiser, before `schedule`: 2.5e-2 is SGD's, Adam needs far less."""
    head_factor: float = hyperparameter(1.0, above=0.0)
    """What the learning rate is multiplied with for all but the network's backbone: 1 as published, 10 in AdaptSegNet,
    whose backbone alone starts from trained weights."""
    momentum: float = hyperparameter(0.9, at_least=0.0, below=1.0)
    """Momentum of SGD; of Adam and AdamW the first beta, beside a second of 0.999."""
    weight_decay: float = hyperparameter(1e-4, at_least=0.0)
    """What is added to a gradient of its weight; AdamW takes it off the weight, times the learning rate."""
    decays_vectors: bool = hyperparameter(True, choices=(False, True))
    """Whether biases, and the weights of norms, are decayed as others are, as published."""
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
    batch_norm: Literal["mixed", "source", "frozen", "target", "domain-specific"] = hyperparameter("mixed")
    """What batch norm normalises by once trained.

    The running statistics of all passes (mixed, as published), or of those of the source and of labelled images alone
    (source); those that the network began with, in training too (frozen); those of up to 256 images of the target,
    taken anew at every evaluation, whether the methods see the target or not (target); or each domain by norms of its
    own, scale and shift included (domain-specific).
    """
    network: Architecture = hyperparameter(PUBLISHED, kind=Architecture)
    """What is trained and deployed."""

    def schedule(self, step: int, steps: int) -> float:
        """The factor on every learning rate: min(1, (step + 1) / (warm_up * steps)) * (1 - step / steps) ** power.

        Steps count from 0, so that the first one is not lost on a rate of 0.
        """
        rise = min(1.0, (step + 1) / (self.warm_up * steps)) if self.warm_up else 1.0
        return float(rise * (1 - step / steps) ** self.power)

    def order(self, seed: int, purpose: str, epoch: int, length: int) -> Sequence[int]:
        """In which order an epoch takes the images of a split: a permutation of their positions, drawn for each epoch.

        `purpose` tells splits apart, so that source and target images meet in new pairs.
        """
        order: list[int] = generator(seed, purpose, epoch).permutation(length).tolist()
        return order

    def build(self) -> Network:
        """A new network, its random weights drawn from torch's generator. Raises NoWeights."""
        network = self.network.build()
        return DomainSpecific(network) if self.batch_norm == DOMAIN_SPECIFIC else network

    def __post_init__(self) -> None:
        check(self)
