"""How images lie in memory where convolutions are fastest: a pixel's channels side by side, or each channel whole."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def layout(device: torch.device) -> torch.memory_format:
    """What suits the convolutions of networks on a device.

    Channels last, but for CPUs whose best instructions are AVX2: there oneDNN takes gradients with respect to the
    weights of such convolutions three to four times as slowly.
    """
    slow = device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"
    return torch.contiguous_format if slow else torch.channels_last


def laid_out_alike(x: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch channels rows columns"]:
    """The same, and its gradient lies in memory as it does, whatever was computed from it.

    What comes before would else go backward through another layout's kernels, more slowly and to other last bits.
    """
    alike: Tensor = _LaidOutAlike.apply(x)
    return alike


class _LaidOutAlike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        last = x.is_contiguous(memory_format=torch.channels_last)
        ctx.format = torch.channels_last if last else torch.contiguous_format
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        return gradient.contiguous(memory_format=ctx.format)
