"""What every network is: from images to a prediction."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Prediction:
    """Logits at 1/8 of the image, rounded up, of the final classifier and of the auxiliary ones."""

    logits: Float[Tensor, "batch classes rows columns"]
    auxiliary: tuple[Float[Tensor, "batch classes rows columns"], ...]
    """Logits of the heads that only training on labels needs, upsampled to 1/8; empty unless asked for."""


class NoWeights(ValueError):
    """The pretrained weights of a network cannot be had on this machine."""


class Network(nn.Module):
    """What is trained and deployed: images (batch, 3, height, width) in [0, 255] to a `Prediction`.

    `network(images)` gives what is deployed, `network(images, auxiliary=True)` adds the heads that only training needs.
    """

    def forward(self, images: Float[Tensor, "batch 3 height width"], auxiliary: bool = False) -> Prediction:
        """Predict logits at 1/8 of the images, rounded up; `auxiliary` adds the heads that only training needs."""
        raise NotImplementedError

    def published(self) -> nn.Module:
        """The network as its authors published it, as its cost is compared with theirs: images to logits at their size.

        Itself, unless it is computed in another order here or lacks something that is never used.
        """
        return self


def upsample(
    logits: Float[Tensor, "batch channels rows columns"], size: tuple[int, ...]
) -> Float[Tensor, "batch channels {size[0]} {size[1]}"]:
    """Resize bilinearly to `size` = (height, width), pixels taken as areas."""
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
