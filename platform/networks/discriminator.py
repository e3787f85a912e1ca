"""The fully convolutional discriminator of adversarial adaptation in output space."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from platform.networks.operations.layout import layout
from platform.shifts.labels import NUM_CLASSES

SMALLEST_SIDE = 32
"""Shortest side of an input, in pixels, of which five halvings leave one logit."""


class Discriminator(nn.Module):
    """Tells, patch by patch, from which domain a segmentation comes.

    Five convolutions 4x4 of stride 2 to width, 2 width, 4 width, 8 width and 1 channels, LeakyReLU 0.2 between them.
    Source: Tsai, Hung, Schulter, Sohn, Yang, Chandraker, "Learning to Adapt Structured Output Space for Semantic
    Segmentation" (AdaptSegNet), CVPR 2018, arXiv 1802.10349. `separable` makes each convolution a depthwise 4x4 and a
    pointwise 1x1, both with bias and nothing between. Source: Tavera, Masone, Caputo, "Reimagine BiSeNet for Real-Time
    Domain Adaptation in Semantic Segmentation" (RTDA), 2021, arXiv 2110.11662.
    """

    def __init__(self, num_classes: int = NUM_CLASSES, width: int = 64, separable: bool = False) -> None:
        super().__init__()
        convolution = _separable if separable else _full
        channels = (num_classes, width, 2 * width, 4 * width, 8 * width, 1)
        self.convolutions = nn.ModuleList(convolution(inputs, outputs) for inputs, outputs in pairwise(channels))
        # One module for all four places, as in the original study, whose count of operations depends on it.
        self.activation = nn.LeakyReLU(0.2, inplace=True)

    def forward(
        self, probabilities: Float[Tensor, "batch classes height width"]
    ) -> Float[Tensor, "batch 1 height//32 width//32"]:
        """Judge class probabilities patch by patch, in logits.

        Raises ValueError when a side is shorter than 32 pixels.
        """
        height, width = probabilities.shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"the discriminator halves its input five times: both sides must be at least {SMALLEST_SIDE} pixels, "
                f"got {height} x {width}; upsample the logits or use larger images"
            )
        first, *others = self.convolutions
        x: Tensor = first(probabilities.contiguous(memory_format=layout(probabilities.device)))
        for convolution in others:
            x = convolution(self.activation(x))
        return x


def _full(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)


def _separable(inputs: int, outputs: int) -> nn.Module:
    depthwise = nn.Conv2d(inputs, inputs, 4, stride=2, padding=1, groups=inputs)
    return nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1))
