"""How probable a class's pixels are over many images: histograms in fixed memory, and the ranks that they tell.

Bins are as fine as the doubt 1 - p asks for, to which each gives a part in a thousand: most pixels of a trained network
are surer than 0.999, where bins of equal width would tell none from the next. Their edges are numbers of float32, by
whose bits, which are in the order of the numbers, a pixel finds its bin exactly.
"""

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from platform.methods.upsampled_loss import any_order
from platform.shifts.labels import VOID

DROPPED = 13
"""Bits of the 23 of a fraction that no bin distinguishes: each halving of the doubt has 2^10 bins."""
BINS = 24 * 2**10 + 1
"""Down to a doubt of 2^-24: the next probability of float32 is 1."""
ONE = int(torch.ones(()).view(torch.int32))
"""The bits of a doubt of 1."""


def histogram(p: Float[Tensor, "batch classes height width"]) -> Int64[Tensor, "classes _"]:
    """How many pixels are most probably of each class, by how probable that is, surest last."""
    classes, surest = p.shape[1], p.max(dim=1)
    doubt = (1 - surest.values.float()).clamp(min=0)
    bins = ((ONE - doubt.view(torch.int32)) >> DROPPED).clamp(max=BINS - 1)
    places = (surest.indices * BINS + bins).flatten()
    counts = torch.zeros(classes * BINS, dtype=torch.int64, device=p.device)
    # Whole numbers have one sum in every order.
    with any_order():
        counts.scatter_add_(0, places, torch.ones_like(places))
    return counts.view(classes, BINS)


def ranked(counts: Int64[Tensor, "classes _"], fraction: float) -> Float32[Tensor, " classes"]:
    """The probability that a fraction of each class's pixels reach, to the width of a bin: they or a few more.

    Of n pixels these are floor(fraction n); where that is none, the probability is 1.
    """
    reach = counts.flip(1).cumsum(dim=1).flip(1)
    wanted = (reach[:, 0].double() * fraction).floor()
    last = (reach >= wanted[:, None]).sum(dim=1) - 1
    doubt = (ONE - (last << DROPPED)).to(torch.int32).view(torch.float32)
    return torch.where(wanted > 0, 1 - doubt, 1.0)


def as_probable(
    p: Float[Tensor, "batch classes height width"], thresholds: Float[Tensor, " classes"]
) -> Int64[Tensor, "batch height width"]:
    """The most probable class of each pixel, void where it is less probable than the class's threshold."""
    surest = p.max(dim=1, keepdim=True).indices
    # A threshold for each pixel would be looked up by an index, of whose order on a GPU PyTorch promises nothing.
    reached = (p >= thresholds[:, None, None]).gather(1, surest)
    return surest.where(reached, VOID).squeeze(1)
