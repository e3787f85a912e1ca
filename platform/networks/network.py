"""What every network is: from images to a prediction; and what every architecture is: the description of one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from platform.networks.hyperparameters import check, check_declared, field_values
from platform.networks.modes import evaluating
from platform.records.plain import plain

Domain = Literal["source", "target"]
"""Where images come from, for networks that treat the two differently."""


@dataclass(frozen=True)
class Prediction:
    """What a network makes of a batch of images, at its own stride: 1/8 of the image for a BiSeNet, rounded up."""

    logits: Float[Tensor, "batch classes rows columns"]
    auxiliary: tuple[Float[Tensor, "batch classes rows columns"], ...]
    """Logits of the heads that only training on labels needs, at the size of `logits`; empty unless asked for."""
    features: Float[Tensor, "batch channels rows columns"]
    """What the final classifier sees."""


class NoWeights(ValueError):
    """The pretrained weights of a network cannot be had on this machine."""


class Network(nn.Module):
    """What is trained and deployed: images (batch, 3, height, width) in [0, 255] to a `Prediction`.

    `network(images)` gives what is deployed, `network(images, auxiliary=True)` adds the heads that only training needs.
    """

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], domain: Domain = "target", auxiliary: bool = False
    ) -> Prediction:
        """Predict for images of one domain; `auxiliary` adds the heads that only training needs."""
        raise NotImplementedError

    def backbone(self) -> nn.Module | None:
        """The part that ImageNet weights exist for, whose learning rate a recipe may set apart from the heads'.

        None where there is no such part.
        """
        return None

    def published(self) -> nn.Module:
        """The network as its authors published it, as its cost is compared with theirs.

        Itself, unless it is computed in another order here or lacks something that is never used.
        """
        return self


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """The description of a network, a frozen dataclass of its hyperparameters: `Recipe.network`."""

    def __post_init__(self) -> None:
        check_declared(type(self))
        try:
            check(self)
        except ValueError as error:
            if all(isinstance(plain(value), bool | int | float | str) for value in field_values(self).values()):
                raise
            # A range, mostly.
            name = type(self).__name__
            raise ValueError(f"{error}; a search chooses among networks: OneOf({name}(...), {name}(...))") from None

    @abstractmethod
    def build(self) -> Network:
        """A new network, its random weights drawn from torch's generator. Raises NoWeights."""

    def bare(self) -> Self:
        """The same without weights that are fetched: what costs are counted on."""
        return self

    def smoke(self) -> "Architecture":
        """A small one of the same kind, for `--smoke`; itself where there is none."""
        return self


def feature_channels(network: Network) -> int:
    """How many channels the features of a network's predictions have, by a pass of a small image."""
    device = next(network.parameters()).device
    with evaluating(network), torch.no_grad():
        prediction: Prediction = network(torch.zeros(1, 3, 64, 64, device=device))
    return prediction.features.shape[1]
