"""ImageNet: how its images are normalised, and the weights that torchvision trained on it."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from platform.networks.network import Architecture, NoWeights

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

MEAN = (123.675, 116.28, 103.53)
"""Mean of red, green and blue in ImageNet, on the scale [0, 255]."""
DEVIATION = (58.395, 57.12, 57.375)
"""Standard deviation of red, green and blue in ImageNet, on the scale [0, 255]."""


class Normalisation(nn.Module):
    """(images - MEAN) / DEVIATION as images * factor + offset, which passes over them once."""

    factor: Float[Tensor, "3 1 1"]
    offset: Float[Tensor, "3 1 1"]

    def __init__(self) -> None:
        super().__init__()
        mean, deviation = (torch.tensor(each, dtype=torch.float64).view(3, 1, 1) for each in (MEAN, DEVIATION))
        self.register_buffer("factor", (1 / deviation).float(), persistent=False)
        self.register_buffer("offset", (-mean / deviation).float(), persistent=False)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Normalise RGB in [0, 255]."""
        return torch.addcmul(self.offset, images, self.factor)


def check_width(description: Architecture, width: float, pretrained: bool) -> None:
    """Raise ValueError for a description of a network for whose width there are no weights."""
    if pretrained and width != 1:
        raise ValueError(
            f"{type(description).__name__}.pretrained must be False unless width is 1, got width={width!r}; "
            "ImageNet weights exist for the published width only"
        )


def load(weights: "WeightsEnum", name: str, into: Callable[[Mapping[str, Shaped[Tensor, "..."]]], object]) -> None:
    """Hand over torchvision's weights of a network, from torch hub's checkpoint folder or downloaded into it.

    Raises NoWeights when they cannot be downloaded, or when the file in the folder is not what its name says.
    """
    file = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name)
    try:
        into(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except OSError as error:
        raise NoWeights(
            f"the ImageNet weights of {name} are not at {file} and cannot be downloaded ({error}): "
            f"place {weights.url} there, or set pretrained=False"
        ) from error
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise NoWeights(
            f"{file} does not hold the ImageNet weights of {name}: "
            f"replace it by {weights.url}, delete it to have it downloaded, or set pretrained=False"
        ) from error
