"""The cross-entropy of logits that are upsampled to their labels, as one function with its gradient.

At full resolution the logits of 19 classes, their logarithms and their gradients are most of what a step of a real-time
network reads and writes. Here only strips of them exist, a few rows at a time, which stay in a processor's cache: the
gradient is taken together with the loss, and what is kept for the backward pass is as small as the network's logits.

Source of the idea: Hsu et al., "Liger Kernel", 2024, arXiv 2410.10989, which does the same to language models' logits.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd import Function

from platform.networks.operations import upsampling
from platform.networks.operations.upsampling import single_precision, single_precision_products
from platform.shifts.labels import VOID

STRIP = 32_768
"""Pixels of a strip on the CPU, at most, but for a row that is longer: 19 classes of them take 2.5 MB."""


def cross_entropy(
    logits: Float[Tensor, "batch classes rows columns"],
    labels: Int64[Tensor, "batch height width"],
    weights: Float[Tensor, "batch height width"] | None = None,
) -> Float[Tensor, ""]:
    """Mean of the pixels' weights times their cross-entropy, over the pixels that are not void; 0 where all are.

    Logits are upsampled to the labels' size, as `upsample` does; without weights each is 1, and with respect to them no
    gradient is taken. Raises ValueError where a gradient's own graph is asked for.
    """
    (loss,) = cross_entropies((logits,), labels, weights)
    return loss


def cross_entropies(
    heads: Sequence[Float[Tensor, "batch classes rows columns"]],
    labels: Int64[Tensor, "batch height width"],
    weights: Float[Tensor, "batch height width"] | None = None,
) -> list[Float[Tensor, ""]]:
    """The cross-entropy of each of several heads' logits with the same labels."""
    known = labels != VOID
    number, truth = known.sum().clamp(min=1), labels.where(known, 0)
    weights = known.to(torch.float32) if weights is None else weights.detach() * known
    return [_WeightedSum.apply(logits, truth, weights) / number for logits in heads]


class _WeightedSum(Function):
    """sum_i w_i (log sum_c exp u_ic - u_iy_i), u the upsampled logits; du = w_i (softmax(u_i)_c - [c = y_i])."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        small = single_precision(logits).contiguous()
        weights = weights.to(small.dtype)
        height, width = labels.shape[-2:]
        rows = upsampling.weights(height, small.shape[-2], small.device, small.dtype)
        columns = upsampling.weights(width, small.shape[-1], small.device, small.dtype)
        loss, gradient = small.new_zeros(()), torch.empty_like(small)
        with single_precision_products(small.device):
            for images, strips in _portions(len(labels), height, width, small.device):
                high = rows @ small[images]
                back = torch.empty_like(high)
                for strip in strips:
                    truth, weight = labels[images, None, strip], weights[images, None, strip]
                    u = high[..., strip, :] @ columns.mT
                    u -= u.amax(dim=1, keepdim=True)
                    of_truth = u.gather(1, truth)
                    total = u.exp_().sum(dim=1, keepdim=True)
                    loss += (weight * (total.log() - of_truth)).sum()
                    slope = u.mul_(weight / total)
                    with any_order():
                        slope.scatter_add_(1, truth, -weight)
                    back[..., strip, :] = slope @ columns
                gradient[images] = rows.mT @ back
        ctx.save_for_backward(gradient.to(logits.dtype))
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():
            raise ValueError(
                "cross_entropy has no gradient of its gradient, which create_graph=True asks for; take "
                "torch.nn.functional.cross_entropy of upsampled logits"
            )
        (gradient,) = ctx.saved_tensors
        return gradients[0] * gradient, None, None


@contextmanager
def any_order() -> Iterator[None]:
    """Add up in any order what never meets: CUDA would sort it first where a fixed order is asked for."""
    asked, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(asked, warn_only=warns)


def _portions(images: int, height: int, width: int, device: torch.device) -> Iterator[tuple[slice, list[slice]]]:
    """Images that are taken together, and the strips of rows in which they are: on the CPU such as fit its cache."""
    pixels = STRIP if device.type == "cpu" else images * height * width
    together, rows = max(1, pixels // (height * width)), max(1, min(height, pixels // width))
    for first in range(0, images, together):
        yield slice(first, first + together), [slice(row, row + rows) for row in range(0, height, rows)]
