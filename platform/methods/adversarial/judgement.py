"""What adversarial methods share: what a discriminator sees, how its judgement is scored, how it is trained."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.optim import Optimizer

from platform.networks.operations.layout import layout
from platform.networks.operations.upsampling import gradient_of_upsample, single_precision, upsample

SOURCE, TARGET = 0.0, 1.0
Criterion = Literal["cross-entropy", "least squares"]


def adam(learning_rate: float) -> Callable[[Iterable[nn.Parameter]], Optimizer]:
    """Adam with betas (0.9, 0.99), by which AdaptSegNet and ADVENT train their discriminators."""
    return partial(torch.optim.Adam, lr=learning_rate, betas=(0.9, 0.99), fused=True)


def probabilities(
    logits: Float[Tensor, "batch classes rows columns"], size: torch.Size
) -> Float[Tensor, "batch classes {size[0]} {size[1]}"]:
    """Softmax over classes of logits upsampled to `size` = (height, width), laid out as convolutions like it.

    It is taken in float32 at least, and given in bfloat16 for logits that are; there is then no gradient of its
    gradient.
    """
    # In float16 the gradients of small probabilities would be 0.
    if logits.dtype != torch.bfloat16:
        return _softmax(single_precision(logits), size)
    rounded: Tensor = _Rounded.apply(logits, size)
    return rounded


def _softmax(
    logits: Float[Tensor, "batch classes rows columns"], size: torch.Size
) -> Float[Tensor, "batch classes {size[0]} {size[1]}"]:
    upsampled = upsample(logits.contiguous(memory_format=layout(logits.device)), size)
    if upsampled.is_contiguous():
        return torch.softmax(upsampled, dim=1)
    # Along what is contiguous, since `softmax` copies what is not.
    return torch.softmax(upsampled.permute(0, 2, 3, 1), dim=-1).permute(0, 3, 1, 2)


class _Rounded(Function):
    """The softmax in float32, rounded to bfloat16, and its gradient by the rounded one.

    A discriminator rounds what it sees, and its gradient, anyway; in float32 both would be passed over once more.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, size: torch.Size) -> Tensor:
        p = _softmax(single_precision(logits), size).to(logits.dtype)
        ctx.size = logits.shape[-2:]
        ctx.save_for_backward(p)
        return p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (p,) = ctx.saved_tensors
        slope, p = (each.permute(0, 2, 3, 1) for each in (*gradients, p))
        back: Tensor = torch.ops.aten._softmax_backward_data(slope, p, -1, p.dtype)
        return gradient_of_upsample(back.permute(0, 3, 1, 2), ctx.size), None


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
