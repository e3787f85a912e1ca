"""Colour jitter and blur, as DACS augments the images that it mixes (arXiv 2007.08702).

As published, one order of the changes is drawn for a batch, and how much of each for every image. Departures: colours
are changed as torchvision does, by factors (kornia, in the published code, adds brightness, and does not keep an
image's mean when it changes contrast); the Gaussian's deviation is drawn for each image (published: for a batch), and
it ends at 2.6 of them or beyond (published: at a twentieth of the image).
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

JITTERED, JITTER = 0.8, 0.25
"""How often the colours of a batch are jittered, and by how much of their range."""
BLURRED, LEAST_SIGMA, MOST_SIGMA = 0.5, 0.15, 1.15
"""How often a batch is blurred, and the Gaussian's standard deviation in pixels."""
GREY = (0.2989, 0.587, 0.114)
"""What red, green and blue weigh in grey (ITU-R 601-2)."""
REACH = 3
"""Pixels to each side of a blurred one that have a part in it."""


def strongly_augmented(
    images: Float[Tensor, "batch 3 height width"], random: np.random.Generator
) -> Float[Tensor, "batch 3 height width"]:
    """Jitter the colours of a batch, and blur it, each at times; by how much is drawn for each image.

    RGB in [0, 255] gives RGB in [0, 255].
    """
    is_jittered, is_blurred = random.random() < JITTERED, random.random() < BLURRED
    x = (images / 255).clamp(0, 1)
    if is_jittered:
        order, number = random.permutation(4), len(images)
        brightness, contrast, saturation = random.uniform(1 - JITTER, 1 + JITTER, (3, number))
        x = jittered(x, order, np.stack([brightness, contrast, saturation, random.uniform(-JITTER, JITTER, number)]))
    if is_blurred:
        x = blurred(x, random.uniform(LEAST_SIGMA, MOST_SIGMA, len(images)))
    return 255 * x


def jittered(
    x: Float[Tensor, "batch 3 height width"], order: Int64[np.ndarray, " _"], factors: Float[np.ndarray, "4 batch"]
) -> Float[Tensor, "batch 3 height width"]:
    """Change brightness, contrast, saturation and hue, 0 to 3, in this order; a hue is turned by so many circles."""
    amounts = _sent(factors[..., None, None, None], x)
    for change in order:
        x = (_brighter, _contrasted, _saturated, _turned)[change](x, amounts[change])
    return x


def blurred(
    x: Float[Tensor, "batch 3 height width"], sigmas: Float[np.ndarray, " batch"]
) -> Float[Tensor, "batch 3 height width"]:
    """Convolve each image with the Gaussian of its standard deviation, in pixels, mirrored at the border."""
    offsets, sigmas = np.arange(-REACH, REACH + 1), sigmas[:, None]
    weights = np.where(np.abs(offsets) <= 1 + np.round(2 * sigmas), np.exp(-(offsets**2) / (2 * sigmas**2)), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    kernels = _sent(weights[:, None, :, None] * weights[:, None, None], x).expand(-1, 3, -1, -1).flatten(0, 1)[:, None]
    padded = functional.pad(x, [REACH] * 4, mode="reflect").flatten(0, 1)
    # Every channel of every image is a group of its own.
    with torch.autocast(x.device.type, enabled=False):
        return functional.conv2d(padded, kernels, groups=len(padded)).view(x.shape)


def _brighter(
    x: Float[Tensor, "batch 3 height width"], factor: Float[Tensor, "batch 1 1 1"]
) -> Float[Tensor, "batch 3 height width"]:
    return (x * factor).clamp_(0, 1)


def _contrasted(
    x: Float[Tensor, "batch 3 height width"], factor: Float[Tensor, "batch 1 1 1"]
) -> Float[Tensor, "batch 3 height width"]:
    return torch.lerp(_grey(x).mean((1, 2, 3), keepdim=True), x, factor).clamp_(0, 1)


def _saturated(
    x: Float[Tensor, "batch 3 height width"], factor: Float[Tensor, "batch 1 1 1"]
) -> Float[Tensor, "batch 3 height width"]:
    return torch.lerp(_grey(x), x, factor).clamp_(0, 1)


def _turned(
    x: Float[Tensor, "batch 3 height width"], turn: Float[Tensor, "batch 1 1 1"]
) -> Float[Tensor, "batch 3 height width"]:
    """Turn the hue, by HSV: of the value V and the chroma C of a pixel neither changes.

    With h in sixths of a circle, a channel is V - C * clamp(min(k, 4 - k), 0, 1), k = (n + h) mod 6, where n is 5 for
    red, 3 for green and 1 for blue.
    """
    value, place = x.max(dim=1, keepdim=True)
    chroma = value - x.amin(dim=1, keepdim=True)
    # (green - blue, blue - red, red - green) at the place of the largest channel is what h is from 0, 2 or 4.
    difference = (x.roll(-1, 1) - x.roll(-2, 1)).gather(1, place)
    hue = difference / chroma.clamp(min=torch.finfo(x.dtype).tiny) + 2 * place + 6 * turn
    k = (_channels(x) + hue).remainder_(6)
    return value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1)


def _grey(x: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 height width"]:
    return (GREY[0] * x[:, :1]).add_(x[:, 1:2], alpha=GREY[1]).add_(x[:, 2:], alpha=GREY[2])


def _channels(x: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "1 3 1 1"]:
    return torch.arange(5, -1, -2, device=x.device, dtype=x.dtype).view(1, 3, 1, 1)


def _sent(numbers: Float[np.ndarray, "..."], x: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "..."]:
    """Numbers on the device of the images and of their type, without waiting for it."""
    return torch.from_numpy(np.ascontiguousarray(numbers)).to(x.dtype).to(x.device, non_blocking=True)
