"""Colour jitter and blur, as DACS augments the images that it mixes (arXiv 2007.08702).

Departures: colours are changed as torchvision does, by factors (kornia, in the published code, adds brightness, and
does not keep an image's mean when it changes contrast); the Gaussian ends at 2.6 of its deviations or beyond
(published: at a twentieth of the image).
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

JITTERED, JITTER = 0.8, 0.25
"""How often the colours of a batch are jittered, and by how much of their range."""
BLURRED, LEAST_SIGMA, MOST_SIGMA = 0.5, 0.15, 1.15
"""How often a batch is blurred, and the Gaussian's standard deviation in pixels."""


def strongly_augmented(
    images: Float[Tensor, "batch 3 height width"], random: np.random.Generator
) -> Float[Tensor, "batch 3 height width"]:
    """Jitter the colours of a batch, and blur it, each at times; by how much is drawn for each image.

    RGB in [0, 255] gives RGB in [0, 255].
    """
    jittered, blurred = random.random() < JITTERED, random.random() < BLURRED
    x = (images / 255).clamp(0, 1)
    if jittered:
        x = torch.stack([_jittered(image, random) for image in x])
    if blurred:
        x = torch.stack([_blurred(image, random) for image in x])
    return 255 * x


def _jittered(x: Float[Tensor, "3 height width"], random: np.random.Generator) -> Float[Tensor, "3 height width"]:
    """Brightness, contrast, saturation and hue, in random order."""
    # Imported here because torchvision takes a second and a half, which plans need not wait for.
    from torchvision.transforms.v2 import functional

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
            case _:
                x = functional.adjust_hue(x, hue)
    return x


def _blurred(x: Float[Tensor, "3 height width"], random: np.random.Generator) -> Float[Tensor, "3 height width"]:
    from torchvision.transforms.v2 import functional

    sigma = random.uniform(LEAST_SIGMA, MOST_SIGMA)
    side = 2 * round(2 * sigma) + 3
    blurred: Tensor = functional.gaussian_blur(x, [side, side], [sigma, sigma])
    return blurred
