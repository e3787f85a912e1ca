"""Fourier Domain Adaptation (Yang and Soatto, CVPR 2020, arXiv 2004.05498).

The source takes the target's amplitudes at low frequencies, W = {(u, v): |u| <= b, |v| <= b}, and keeps its own phases:

    x_{s->t} = F^-1( [1_W |F x_t| + (1 - 1_W) |F x_s|] * exp(i arg F x_s) ),   b = floor(beta * min(height, width))
    min  CE(S(x_{s->t}), y_s) + entropy_weight * mean( (H(p(x_t))^2 + 1e-8)^eta ),   H in [0, 1]

per colour channel, on images in [0, 255] before any normalisation.

Only frequencies in W change, so x_{s->t} = x_s + F^-1(1_W (|F x_t| - |F x_s|) exp(i arg F x_s)): thin matrix products
instead of two full FFTs, and a target image is remembered by its (2b + 1)(b + 1) amplitudes. The spectrum of a real
image is Hermitian, so v >= 0 suffices.

Departures: the window is the symmetric one of the authors' NumPy code; their PyTorch code takes u and v in [-b, b - 1],
which is not Hermitian, and drops an imaginary part. The image may leave [0, 255] slightly, as in the authors' code. The
paper's three bands together are `MultiBandTransfer`, its rounds of self-training `PseudoLabels`.
"""

import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float, Float32
from torch import Tensor

from platform.methods.batch import Labelled, Unlabelled
from platform.methods.method import SEGMENTATION, Integer, Method
from platform.methods.step import Step
from platform.methods.translation.remembered import remembered
from platform.networks.hyperparameters import hyperparameter


@dataclass(frozen=True, kw_only=True)
class FDA(Method):
    """Lend the target's low-frequency amplitudes to the source, and sharpen predictions on the target."""

    beta: float = hyperparameter(0.01, at_least=0.0, below=0.5)
    """Half-width of the band, as a fraction of the shorter side."""
    entropy_weight: float = hyperparameter(0.005, at_least=0.0)
    """Weight of the robust entropy on target images; 0 leaves the target pass out."""
    eta: float = hyperparameter(2.0, above=0.0)
    """Exponent of the robust entropy; above 0.5 it penalises high entropy more than low."""

    @classmethod
    def integer(cls, field: str, size: tuple[int, int]) -> Integer | None:
        shorter = min(size)
        if field != "beta":
            return None
        return Integer("band", lambda beta: band(beta, shorter), lambda number: smallest_beta(number, shorter))

    def translate(
        self, source: Labelled, target: Unlabelled | None, memory: MutableMapping[int, Float32[Tensor, "3 _ _"]]
    ) -> Float32[Tensor, "batch 3 height width"]:
        assert target is not None
        b = band(self.beta, min(source.images.shape[-2:]))
        amplitudes = remembered(target, memory, lambda image: low_frequencies(image, b).abs())
        return lend_amplitudes(source.images, amplitudes, b)

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        if self.entropy_weight == 0:
            return {}
        entropy = robust_entropy(step.target_prediction.logits, self.eta)
        return {SEGMENTATION: self.entropy_weight * step.term("entropy", entropy)}


def band(beta: float, shorter: int) -> int:
    """b = floor(beta * shorter side): the frequencies with |u|, |v| <= b are swapped; at 0 only the mean is."""
    return math.floor(beta * shorter)


def smallest_beta(number: int, shorter: int) -> float:
    """The smallest beta of six decimals whose band is `number`."""
    millionths = math.ceil(number * 1_000_000 / shorter)
    while band(millionths / 1_000_000, shorter) < number:
        millionths += 1
    return millionths / 1_000_000


def low_frequencies(images: Float[Tensor, "*batch height width"], b: int) -> Complex[Tensor, "*batch {2*b+1} {b+1}"]:
    """F_uv of the images, for u in -b..b and v in 0..b."""
    waves = _waves(*images.shape[-2:], b, images.device, images.dtype)
    if images.stride(-1) == 1:
        down = waves.rows @ images
    else:
        side_by_side = waves.rows @ images.movedim(-3, -1).flatten(-2)
        down = side_by_side.view(*side_by_side.shape[:-1], -1, images.shape[-3]).movedim(-1, -3)
    across = down @ waves.columns
    return waves.signs @ torch.view_as_complex(across.view(*across.shape[:-1], b + 1, 2))


def lend_amplitudes(
    images: Float[Tensor, "batch 3 height width"], amplitudes: Float[Tensor, "batch 3 {2*b+1} {b+1}"], b: int
) -> Float[Tensor, "batch 3 height width"]:
    """Give the images these amplitudes at the frequencies with u in -b..b and v in 0..b.

    x + 1/(HW) * Re sum_{u=-b..b} sum_{v=0..b} w_v (A_uv - |F_uv|) F_uv / |F_uv| exp(2 pi i (u h / H + v w / W)),
    w_0 = 1, else 2: the coefficients with v < 0 are the conjugates of those with v > 0.
    """
    height, width = images.shape[-2:]
    if 2 * b >= min(height, width):
        raise ValueError(f"FDA's band must be below half the shorter side, {min(height, width)}, got {b}; lower beta")
    waves = _waves(height, width, b, images.device, images.dtype)
    spectrum = low_frequencies(images, b)
    phase = torch.where(spectrum == 0, 1.0, spectrum.sgn())
    change = waves.weights * (amplitudes - spectrum.abs()) * phase
    # Re(z conj(c)) = Re z Re c + Im z Im c: one real product.
    across = torch.view_as_real(waves.signs.mH @ change).flatten(-2) @ waves.columns.mT
    if images.stride(-1) == 1:
        return _added(images.flatten(0, 1), waves.rows, across.flatten(0, 1)).view_as(images)
    side_by_side = _added(images.movedim(1, -1).flatten(-2), waves.rows, across.movedim(1, -1).flatten(-2))
    return side_by_side.view(-1, height, width, images.shape[1]).movedim(-1, 1)


def _added(
    images: Float[Tensor, "batch height _"], rows: Float[Tensor, "waves height"], change: Float[Tensor, "batch waves _"]
) -> Float[Tensor, "batch height _"]:
    return torch.baddbmm(images, rows.mT.expand(len(images), -1, -1), change)


class _Waves(NamedTuple):
    """What images are multiplied with from both sides: real numbers, since images are real.

    Rows are summed first, columns second. A row may then lie in memory with the colours of a pixel side by side, and
    needs no copy.
    """

    rows: Float[Tensor, "{2*b+2} height"]
    """cos(2 pi u h / H) for u in 0..b, and below sin(2 pi u h / H)."""
    columns: Float[Tensor, "width {2*b+2}"]
    """exp(-2 pi i v w / W), real and imaginary part of each v in 0..b side by side."""
    signs: Complex[Tensor, "{2*b+1} {2*b+2}"]
    """Makes exp(-2 pi i u h / H) of `rows`, for u in -b..b: 1 for the cosine of |u|, -i or i for its sine."""
    weights: Float[Tensor, " {b+1}"]
    """w_v / (HW)."""


@lru_cache(maxsize=8)
def _waves(height: int, width: int, b: int, device: torch.device, dtype: torch.dtype) -> _Waves:
    frequencies = torch.arange(b + 1, dtype=torch.float64)
    down, across = (
        2 * math.pi * torch.outer(frequencies, torch.arange(side, dtype=torch.float64)) / side
        for side in (height, width)
    )
    rows = torch.cat([down.cos(), down.sin()])
    columns = torch.stack([across.cos(), -across.sin()], dim=1).flatten(0, 1).T.contiguous()
    u = torch.arange(-b, b + 1)[:, None]
    is_own = (u.abs() == frequencies).double()
    signs = torch.cat([torch.complex(is_own, 0 * is_own), torch.complex(0 * is_own, -u.sign() * is_own)], dim=1)
    weights = (1 + frequencies.sign()) / (height * width)
    return _Waves(
        rows.to(device, dtype),
        columns.to(device, dtype),
        signs.to(device, dtype.to_complex()),
        weights.to(device, dtype),
    )


def robust_entropy(logits: Float[Tensor, "batch classes rows columns"], eta: float) -> Float[Tensor, ""]:
    """mean( (H^2 + 1e-8)^eta ), H = -sum_c p_c log p_c / log C in [0, 1], with C the number of classes."""
    log_p = torch.log_softmax(logits, dim=1)
    entropy = -(log_p.exp() * log_p).sum(dim=1) / math.log(logits.shape[1])
    return ((entropy**2 + 1e-8) ** eta).mean()
