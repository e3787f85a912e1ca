"""Colour jitter and blur, as DACS augments the images that it mixes (arXiv 2007.08702)."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

JITTERED, JITTER = 0.8, 0.25
"""How often a batch's colours are jittered, and by how much of their range."""
BLURRED, LEAST_SIGMA, MOST_SIGMA = 0.5, 0.15, 1.15
"""How often a batch is blurred, and the Gaussian's standard deviation in pixels."""


def strongly_augmented(
    images: Float[Tensor, "batch 3 height width"], random: np.random.Generator
) -> Float[Tensor, "batch 3 height width"]:
    """Jitter brightness, contrast, saturation and hue of a batch alike, in random order, and blur it, each at times.

    RGB in [0, 255] gives RGB in [0, 255].
    """
    # Imported here because torchvision takes a second and a half, which plans need not wait for.
    from torchvision.transforms.v2 import functional

    x = (images / 255).clamp(0, 1)
    if random.random() < JITTERED:
        brightness, contrast, saturation = random.uniform(1 - JITTER, 1 + JITTER, 3)
        hue = random.uniform(-JITTER, JITTER)
        for change in random.permutation(4):
            match change:
                case 0:
                    x = functional.adjust_brightness(x, brightness)
                case 1:
                    x = functional.adjust_contrast(x, contrast)
                case 2:
                    x = functional.adjust_saturation(x, saturation)
                case 3:
                    x = functional.adjust_hue(x, hue)
    if random.random() < BLURRED:
        sigma = random.uniform(LEAST_SIGMA, MOST_SIGMA)
        side = 2 * round(2 * sigma) + 3
        x = functional.gaussian_blur(x, [side, side], [sigma, sigma])
    return 255 * x
