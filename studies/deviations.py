"""Which of the original study's departures from the published methods cost it most?

Its FDA departed from what was published in seven ways, each of which is a part here that a row has or lacks: "FDA" is
as published, "FDA bare" as the original study computed it. Sixteen of the 128 combinations are trained, a fraction of
resolution IV: each departure's effect can be told from the others' and from every pair of them, though not one pair
from each other.

All rows run at the learning rate that the search of "FDA" has chosen, as the departures came without a search of their
own. Fixed: everything else, as published, and beta at its largest published value. What the original study did stands
in this file alone: as a network, a recipe and a method, derived from those that are right.
"""

import math
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from platform.methods import FDA, Labelled, SourceOnly, TargetSupervised, Unlabelled, hyperparameter
from platform.networks import BiSeNet18, Network
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, FractionalFactorial, LogUniform, Recipe, Study, ablate

CAFFE_MEAN = (122.67891434, 116.66876762, 104.00698793)
"""Of red, green and blue: what weights of Caffe's, of which there were none, expect to be subtracted."""
EPOCHS = 52
"""Of a run of the original study."""


class CaffeInput(nn.Module):
    """Blue, green, red, less a mean, on the scale of 255: not what torchvision's weights expect."""

    def forward(self, images: Tensor) -> Tensor:
        mean = torch.tensor(CAFFE_MEAN, device=images.device, dtype=images.dtype)
        return (images - mean[:, None, None]).flip(1)


@dataclass(frozen=True, kw_only=True)
class BiSeNetOnCaffeInput(BiSeNet18):
    """A BiSeNet that sees its images as the original study's did."""

    def build(self) -> Network:
        network = super().build()
        network.normalise = CaffeInput()
        return network


@dataclass(frozen=True, kw_only=True)
class OriginalRecipe(Recipe):
    """A recipe that can be followed as the original study did."""

    shuffled: bool = hyperparameter(True, choices=(False, True))
    """Whether each epoch has an order of its own; else all have the same, and the same source and target meet."""
    decays_by: Literal["step", "epoch"] = hyperparameter("step")
    """What the learning rate falls with."""

    def order(self, seed: int, purpose: str, epoch: int, length: int) -> Sequence[int]:
        return super().order(seed, purpose, epoch, length) if self.shuffled else range(length)

    def schedule(self, step: int, steps: int) -> float:
        if self.decays_by == "epoch":
            step, steps = step * EPOCHS // steps, EPOCHS
        return super().schedule(step, steps)


@dataclass(frozen=True, kw_only=True)
class OriginalFDA(FDA):
    """FDA that can be computed as the original study did."""

    on_raw_images: bool = hyperparameter(True, choices=(False, True))
    """Whether images lie in [0, 255]; else a mean is subtracted first, and where it lies between the means of source
    and target the mean colour changes in the wrong direction."""
    symmetric: bool = hyperparameter(True, choices=(False, True))
    """Whether the window holds with each frequency its opposite; else it is that of the authors' PyTorch code, whose
    imaginary part is dropped."""

    def translate(self, source: Labelled, target: Unlabelled | None, memory: MutableMapping[int, Tensor]) -> Tensor:
        assert target is not None
        mean = torch.zeros(3) if self.on_raw_images else torch.tensor(CAFFE_MEAN)
        mean = mean.to(source.images)[:, None, None]
        source = replace(source, images=source.images - mean)
        target = replace(target, images=target.images - mean)
        if self.symmetric:
            return super().translate(source, target, memory) + mean
        return lend_corners(source.images, target.images, self.beta) + mean


def lend_corners(source: Tensor, target: Tensor, beta: float) -> Tensor:
    """Amplitudes of the frequencies u, v in [-b, b - 1] by those of the target, b = floor(beta * shorter side)."""
    b = math.floor(beta * min(source.shape[-2:]))
    spectrum, lent = torch.fft.fft2(source), torch.fft.fft2(target).abs()
    amplitudes = spectrum.abs()
    for rows in (slice(0, b), slice(source.shape[-2] - b, None)):
        for columns in (slice(0, b), slice(source.shape[-1] - b, None)):
            amplitudes[..., rows, columns] = lent[..., rows, columns]
    lent_to: Tensor = torch.fft.ifft2(torch.polar(amplitudes, spectrum.angle())).real
    return lent_to


def rows() -> dict[str, Arm]:
    """FDA as published, sixteen combinations of what departs from it, and the bounds."""
    learning_rate = LogUniform(5e-3, 1e-1)
    fda = Arm(OriginalFDA, recipe=OriginalRecipe, beta=0.09, learning_rate=learning_rate)
    parts = {
        "raw images": {"on_raw_images": False},
        "window": {"symmetric": False, "beta": 0.1},
        "shuffling": {"shuffled": False},
        "normalisation": {"network": BiSeNetOnCaffeInput(width=0.25)},
        "decay by step": {"decays_by": "epoch"},
        "statistics": {"batch_norm": "source"},
        "flips": {"augmentation": "none"},
    }
    return {
        "source only": Arm(SourceOnly, learning_rate=learning_rate),
        **ablate(fda, parts, FractionalFactorial(most=16), name="FDA", retuned=False),
        "target supervised": Arm(TargetSupervised, learning_rate=learning_rate),
    }


study = Study(
    shift=town(),
    arms=rows(),
    reference="source only",
    select="target/norm_and_prior",
    search=ASHA(trials=4, grace=0.25),
    budget=Budget(steps=300, evaluations=12),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(width=0.25)),
)
