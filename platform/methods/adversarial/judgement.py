"""What adversarial methods share: what a discriminator sees, how its judgement is scored, how it is trained."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from platform.networks.operations.upsampling import single_precision, upsample

SOURCE, TARGET = 0.0, 1.0
Criterion = Literal["cross-entropy", "least squares"]


def adam(learning_rate: float) -> Callable[[Iterable[nn.Parameter]], Optimizer]:
    """Adam with betas (0.9, 0.99), by which AdaptSegNet and ADVENT train their discriminators."""
    return partial(torch.optim.Adam, lr=learning_rate, betas=(0.9, 0.99), fused=True)


def probabilities(
    logits: Float[Tensor, "batch classes rows columns"], size: torch.Size
) -> Float[Tensor, "batch classes {size[0]} {size[1]}"]:
    """Softmax over classes of logits upsampled to `size` = (height, width), in float32 at least, channels last."""
    upsampled = upsample(single_precision(logits).contiguous(memory_format=torch.channels_last), size)
    # Along what is contiguous, since `softmax` copies what is not.
    return torch.softmax(upsampled.permute(0, 2, 3, 1), dim=-1).permute(0, 3, 1, 2)


def judged_as(
    judgement: Float[Tensor, "batch 1 rows columns"], domain: float, criterion: Criterion = "cross-entropy"
) -> Float[Tensor, ""]:
    """BCE(judgement, domain): mean binary cross-entropy of the discriminator's logits against one domain.

    With least squares, mean((judgement - domain)^2) (Mao et al., LSGAN, ICCV 2017, arXiv 1611.04076).
    """
    judgement = single_precision(judgement)
    if criterion == "least squares":
        return (judgement - domain).square().mean()
    # -log(1 - sigmoid(z)) = log(1 + exp(z)), and -log(sigmoid(z)) = log(1 + exp(-z)).
    return functional.softplus(judgement if domain == SOURCE else -judgement).mean()


def spread(
    source: Float[Tensor, "batch 1 rows columns"], target: Float[Tensor, "batch 1 rows columns"]
) -> Float[Tensor, ""]:
    """Standard deviation of the judgements: near 0, the discriminator says the same of everything."""
    return torch.cat([source, target]).detach().float().std(correction=0)
