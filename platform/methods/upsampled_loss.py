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
    sums = _WeightedSums.apply(truth, weights, *heads)
    return list((sums / number).unbind())


class _WeightedSums(Function):
    """sum_i w_i (log sum_c exp u_ic - u_iy_i) of each head, u its upsampled logits.

    Its gradient is w_i (softmax(u_i)_c - [c = y_i]) with respect to u_ic.
    """

    @staticmethod
    def forward(ctx: Any, labels: Tensor, weights: Tensor, *heads: Tensor) -> Tensor:
        negative = -weights
        both = [_sum_and_gradient(logits, labels, weights, negative) for logits in heads]
        ctx.save_for_backward(*(gradient for _, gradient in both))
        return torch.stack([loss for loss, _ in both])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise ValueError(
                "cross_entropy has no gradient of its gradient, which create_graph=True asks for; take "
                "torch.nn.functional.cross_entropy of upsampled logits"
            )
        return None, None, *map(torch.mul, gradients[0].unbind(), ctx.saved_tensors)


def _sum_and_gradient(
    logits: Float[Tensor, "batch classes rows columns"],
    labels: Int64[Tensor, "batch height width"],
    weights: Float[Tensor, "batch height width"],
    negative: Float[Tensor, "batch height width"],
) -> tuple[Float[Tensor, ""], Float[Tensor, "batch classes rows columns"]]:
    small = single_precision(logits).contiguous()
    weights, negative = weights.to(small.dtype), negative.to(small.dtype)
    height, width = labels.shape[-2:]
    rows = upsampling.weights(height, small.shape[-2], small.device, small.dtype)
    columns = upsampling.weights(width, small.shape[-1], small.device, small.dtype)
    losses, gradients = [], []
    with single_precision_products(small.device):
        for images, strips in _portions(len(labels), height, width, small.device):
            high, back = rows @ small[images], []
            for strip in strips:
                part = images, None, strip
                loss, slope = _weighted(high[..., strip, :] @ columns.mT, labels[part], weights[part])
                losses.append(loss)
                with any_order():
                    slope.scatter_add_(1, labels[part], negative[part])
                back.append(slope @ columns)
            gradients.append(rows.mT @ _joined(back, 2))
    loss = torch.stack(losses).sum() if len(losses) > 1 else losses[0]
    return loss, _joined(gradients, 0).to(logits.dtype)


def _weighted(
    u: Float[Tensor, "batch classes rows columns"],
    labels: Int64[Tensor, "batch 1 rows columns"],
    weights: Float[Tensor, "batch 1 rows columns"],
) -> tuple[Float[Tensor, ""], Float[Tensor, "batch classes rows columns"]]:
    """sum_i w_i (log sum_c exp u_ic - u_iy_i), and w_i softmax(u_i), perhaps in the place of u."""
    if not in_strips(u.device):
        log_p = u.log_softmax(dim=1)
        return -(weights * log_p.gather(1, labels)).sum(), log_p.exp_().mul_(weights)
    # In fewer passes over what lies in the cache, and with one exponential, than PyTorch's for the CPU.
    u -= u.amax(dim=1, keepdim=True)
    of_truth = u.gather(1, labels)
    total = u.exp_().sum(dim=1, keepdim=True)
    return (weights * (total.log() - of_truth)).sum(), u.mul_(weights / total)


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return torch.cat(parts, dim) if len(parts) > 1 else parts[0]


@contextmanager
def any_order() -> Iterator[None]:
    """Add up in any order what never meets: CUDA would sort it first where a fixed order is asked for."""
    asked, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    # Not by `torch.use_deterministic_algorithms`, which imports the compiler of torch first: plans do without.
    torch._C._set_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch._C._set_deterministic_algorithms(asked, warn_only=warns)


def in_strips(device: torch.device) -> bool:
    """Whether a device is faster strip by strip, in a cache that holds one."""
    return device.type == "cpu"


def _portions(images: int, height: int, width: int, device: torch.device) -> Iterator[tuple[slice, list[slice]]]:
    """Images that are taken together, and the strips of rows in which they are: on the CPU such as fit its cache."""
    pixels = STRIP if in_strips(device) else images * height * width
    together, rows = max(1, pixels // (height * width)), max(1, min(height, pixels // width))
    for first in range(0, images, together):
        yield slice(first, first + together), [slice(row, row + rows) for row in range(0, height, rows)]
