"""Maximum mean discrepancy of features under several kernels (Long et al., DAN, ICML 2015, arXiv 1502.02791).

With s and t features that the final classifier sees at places of the source and of the target, s' and t' at others, and
b the mean of ||x - x'||^2 over all pairs of the places that are compared, of both domains, through which no gradient
flows:

    min  CE(S(x_s), y_s) + lambda_mmd * ( E k(s, s') + E k(t, t') - 2 E k(s, t) )
    k(x, x') = sum over i = -2 ... 2 of  exp( -||x - x'||^2 / (2^i b) )

The estimate is unbiased, as published, and may therefore be below 0. Kernels, their widths and the weight are those of
the authors' code; the paper learns weights of the kernels.

Departures: every place of the features may be a sample (published: every image), and only one layer is compared. Of
long batches a place is drawn at random from each of at most `samples` stretches of equal length. All pairs of them are
compared (Gretton et al., JMLR 2012, lemma 6), where the published estimate takes as many pairs as samples: it is as
unbiased, and varies more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from platform.methods.method import SEGMENTATION, Method
from platform.methods.step import Step
from platform.networks.hyperparameters import hyperparameter
from platform.networks.operations.layout import laid_out_alike
from platform.networks.operations.upsampling import single_precision

POWERS = range(-2, 3)
"""Of two, by which the kernels' widths differ."""


@dataclass(frozen=True, kw_only=True)
class MMD(Method):
    """Give the features of both domains the same distribution, as far as kernels tell it."""

    lambda_mmd: float = hyperparameter(1.0, at_least=0.0)
    """Weight of the discrepancy."""
    samples: int = hyperparameter(1024, at_least=2)
    """How many places of each domain are compared, at most: ours; published batches are of one vector an image."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        source, target = (
            drawn(prediction.features, self.samples) for prediction in (step.prediction, step.target_prediction)
        )
        return {SEGMENTATION: self.lambda_mmd * step.term("mmd", mmd(source, target))}


def drawn(features: Float[Tensor, "batch channels rows columns"], most: int) -> Float[Tensor, "channels samples"]:
    """Features at a random place of each stretch of as many places, in float32; `most` stretches at most.

    Places follow each other row by row, image by image; the last few, which fill no stretch, are left out.
    """
    places = single_precision(laid_out_alike(features)).movedim(1, 0).flatten(1)
    length = -(-places.shape[1] // most)
    number = places.shape[1] // length
    stretches = places[:, : number * length].reshape(len(places), number, length)
    place = torch.randint(length, (number, 1), device=features.device)
    # By a mask, since what is looked up by its index has a gradient that CUDA adds up in no fixed order.
    is_drawn = torch.arange(length, device=features.device) == place
    return (stretches * is_drawn).sum(dim=-1)


def mmd(source: Float[Tensor, "channels samples"], target: Float[Tensor, "channels samples"]) -> Float[Tensor, ""]:
    """E k(s, s') + E k(t, t') - 2 E k(s, t), the first two over pairs of different samples."""
    number = source.shape[1]
    with torch.autocast(source.device.type, enabled=False):
        k = kernel(squared_distances(torch.cat([source, target], dim=1)))
        within, between = k[:number, :number] + k[number:, number:], k[:number, number:]
        order = torch.arange(number, device=k.device)
        others = order != order[:, None]
        return (within * others).sum() / (number * (number - 1)) - 2 * between.mean()


def squared_distances(x: Float[Tensor, "channels samples"]) -> Float[Tensor, "samples samples"]:
    """||x_i - x_j||^2 of all pairs."""
    # Of numbers around 0 a difference of products loses the fewest digits.
    x = x - x.mean(dim=1, keepdim=True)
    squares = x.square().sum(dim=0)
    return (squares + squares[:, None] - 2 * (x.mT @ x)).clamp(min=0)


def kernel(distances: Float[Tensor, "samples samples"]) -> Float[Tensor, "samples samples"]:
    """sum_i exp(-distance / (2^i b)), with b the mean distance between different samples; 1 where all are equal."""
    number = len(distances)
    mean = distances.detach().sum() / (number * (number - 1))
    scaled = distances / torch.where(mean > 0, mean, 1.0)
    return torch.stack([(-scaled / 2.0**power).exp() for power in POWERS]).sum(dim=0)
