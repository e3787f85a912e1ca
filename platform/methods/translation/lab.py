"""Colour transfer in CIELAB (Reinhard et al., IEEE CG&A 2001; for adaptation: He et al., CVPR 2021, arXiv 2103.04717).

Each channel of the source image, in Lab, takes the mean and the standard deviation of the target image's:

    x_{s->t} = RGB( (Lab(x_s) - mean_s) * deviation_t / deviation_s + mean_t )

and what leaves the colours that a screen has is clipped.

Departure: CIELAB with the white of D65, as the second paper, not Reinhard's l-alpha-beta.
"""

import functools
from collections.abc import MutableMapping
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from platform.methods.batch import Labelled, Unlabelled
from platform.methods.method import Method
from platform.methods.translation.remembered import remembered

LEAST_DEVIATION = 1e-3
"""Of a channel in Lab, whose values reach 100: a flat image keeps its deviation of 0."""
LINEAR_TO_XYZ = (
    (0.412456439, 0.357576078, 0.180437483),
    (0.212672851, 0.715152155, 0.072174993),
    (0.019333895, 0.119192026, 0.950304079),
)
"""Linear sRGB to CIE XYZ, D65 (IEC 61966-2-1)."""
WHITE = (0.95047, 1.0, 1.08883)
"""XYZ of D65."""
THRESHOLD = 6 / 29


@dataclass(frozen=True, kw_only=True)
class LabTransfer(Method):
    """min CE(S(x_{s->t}), y_s): give the source the colours of the target."""

    def translate(
        self, source: Labelled, target: Unlabelled | None, memory: MutableMapping[int, Float32[Tensor, "2 3 1 1"]]
    ) -> Float32[Tensor, "batch 3 height width"]:
        assert target is not None
        wanted = remembered(target, memory, lambda image: statistics(to_lab(image[None]))[0])
        return transferred(source.images, wanted)


def transferred(
    images: Float32[Tensor, "batch 3 height width"], wanted: Float32[Tensor, "batch 2 3 1 1"]
) -> Float32[Tensor, "batch 3 height width"]:
    """The images, RGB in [0, 255], with these means and standard deviations in Lab."""
    lab = to_lab(images)
    mean, deviation = statistics(lab).unbind(1)
    wanted_mean, wanted_deviation = wanted.unbind(1)
    return to_rgb((lab - mean) * wanted_deviation / deviation.clamp(min=LEAST_DEVIATION) + wanted_mean)


def statistics(lab: Float32[Tensor, "batch 3 height width"]) -> Float32[Tensor, "batch 2 3 1 1"]:
    """Mean and standard deviation of each channel of each image."""
    mean = lab.mean((2, 3), keepdim=True)
    return torch.stack([mean, (lab - mean).square().mean((2, 3), keepdim=True).sqrt()], dim=1)


def to_lab(rgb: Float32[Tensor, "batch 3 height width"]) -> Float32[Tensor, "batch 3 height width"]:
    """sRGB in [0, 255] to CIELAB."""
    c = rgb / 255
    linear = torch.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,bjhw->bihw", _to_xyz(rgb.device), linear) / _white(rgb.device)
    x, y, z = torch.where(xyz > THRESHOLD**3, xyz.clamp(min=1e-8) ** (1 / 3), xyz / (3 * THRESHOLD**2) + 4 / 29).unbind(
        1
    )
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def to_rgb(lab: Float32[Tensor, "batch 3 height width"]) -> Float32[Tensor, "batch 3 height width"]:
    """CIELAB to sRGB in [0, 255], clipped."""
    lightness, a, b = lab.unbind(1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=1)
    xyz = torch.where(f > THRESHOLD, f**3, 3 * THRESHOLD**2 * (f - 4 / 29)) * _white(lab.device)
    linear = torch.einsum("ij,bjhw->bihw", _from_xyz(lab.device), xyz).clamp(0, 1)
    return 255 * torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=1e-8) ** (1 / 2.4) - 0.055)


# What is sent to a device stops it, and so does the inverse of a matrix there, which is looked at: once is enough.
@functools.cache
def _to_xyz(device: torch.device) -> Float32[Tensor, "3 3"]:
    return torch.tensor(LINEAR_TO_XYZ).to(device)


@functools.cache
def _from_xyz(device: torch.device) -> Float32[Tensor, "3 3"]:
    inverse: Tensor = torch.linalg.inv(torch.tensor(LINEAR_TO_XYZ))
    return inverse.to(device)


@functools.cache
def _white(device: torch.device) -> Float32[Tensor, "3 1 1"]:
    return torch.tensor(WHITE).view(3, 1, 1).to(device)
