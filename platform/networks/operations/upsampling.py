"""Bilinear upsampling as two small matrix products, which have a fixed order on every device.

With A(n, m) the n x m matrix of the half-pixel rule, in whose row i stand the weights of the inputs around the place

    (i + 1/2) m / n - 1/2,

kept within 0 and m - 1, an image x of h x w becomes A(height, h) x A(width, w)^T, and a gradient g comes back as
A(height, h)^T g A(width, w). `functional.interpolate` is the same, but for the last bits; its gradient on CUDA adds up
in no fixed order, or by a sort where an order is asked for.
"""

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

HALVES = (torch.float16, torch.bfloat16)


def upsample(
    x: Float[Tensor, "batch channels rows columns"], size: tuple[int, ...]
) -> Float[Tensor, "batch channels {size[0]} {size[1]}"]:
    """Resize bilinearly to `size` = (height, width), pixels taken as areas.

    The result is of the type of `x`, and lies in memory as `x` does. It is computed in that type where the matrices are
    exact in it, as they are at ratios that are powers of two: products add up in float32, and what is between the two
    is rounded once more. Else it is computed in float32.
    """
    # Operations are counted on the meta device, and no count of a network's is one of matrix products that
    # interpolate.
    if x.shape[-2:] == size:
        return x
    if x.is_meta:
        return functional.interpolate(x, size=size, mode="bilinear")
    (height, width), (small_height, small_width) = size, x.shape[-2:]
    exact = _in_which_weights_are_exact(x, (height, small_height), (width, small_width))
    rows = weights(height, small_height, x.device, exact.dtype)
    columns = weights(width, small_width, x.device, exact.dtype)
    resized: Tensor = _Resized.apply(exact, rows, columns)
    return resized.to(x.dtype)


def gradient_of_upsample(
    gradient: Float[Tensor, "batch channels height width"], size: tuple[int, ...]
) -> Float[Tensor, "batch channels {size[0]} {size[1]}"]:
    """What comes back to an input of `size` of the gradient with respect to what `upsample` made of it."""
    (height, width), (small_height, small_width) = gradient.shape[-2:], size
    exact = _in_which_weights_are_exact(gradient, (height, small_height), (width, small_width))
    rows = weights(height, small_height, gradient.device, exact.dtype)
    columns = weights(width, small_width, gradient.device, exact.dtype)
    back: Tensor = _Resized.apply(exact, rows.mT, columns.mT)
    return back.to(gradient.dtype)


def single_precision(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The same numbers in float32, unless they are in float64: bfloat16 has eight bits, float16 ends at 65504."""
    return x.float() if x.dtype in HALVES else x


def _in_which_weights_are_exact(x: Float[Tensor, "..."], *sides: tuple[int, int]) -> Float[Tensor, "..."]:
    return x if all(_is_exact(big, small, x.dtype) for big, small in sides) else single_precision(x)


@functools.cache
def _is_exact(big: int, small: int, dtype: torch.dtype) -> bool:
    """Whether A(big, small) loses nothing in a type, or no more than all of its numbers do."""
    if dtype not in HALVES:
        return True
    exact = _weights(big, small)
    return torch.equal(exact.to(dtype).double(), exact)


# For good: what a CUDA graph has read it reads again, from the same place.
@functools.cache
def weights(big: int, small: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "{big} {small}"]:
    """A(big, small)."""
    # Also what an evaluation asks for first, training goes on with.
    with torch.inference_mode(False):
        return _weights(big, small).to(device, dtype)


def _weights(big: int, small: int) -> Float64[Tensor, "{big} {small}"]:
    place = ((torch.arange(big, dtype=torch.float64) + 0.5) * small / big - 0.5).clamp(0, small - 1)
    # At a distance of 1 or more from a place an input has no part in it.
    near = 1 - (place[:, None] - torch.arange(small, dtype=torch.float64)).abs()
    return near.clamp(min=0)


class _Resized(Function):
    """rows x columns^T for every image and channel; a gradient takes the transposed way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(rows, columns)
        with single_precision_products(x.device):
            return _resized(x, rows, columns)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        rows, columns = ctx.saved_tensors
        (gradient,) = gradients
        back: Tensor = _Resized.apply(gradient, rows.mT, columns.mT)
        return back, None, None


def _resized(
    x: Float[Tensor, "batch channels rows columns"],
    rows: Float[Tensor, "height rows"],
    columns: Float[Tensor, "width columns"],
) -> Float[Tensor, "batch channels height width"]:
    if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
        return rows @ (x.contiguous() @ columns.mT)
    wide = columns @ x.permute(0, 2, 3, 1)
    high = rows @ wide.flatten(2)
    return high.view(len(x), len(rows), *wide.shape[2:]).permute(0, 3, 1, 2)


def single_precision_products(device: torch.device) -> AbstractContextManager[object]:
    """Matrix products outside of autocast; on CUDA in TF32, whose ten bits are as many as float16 has."""
    if device.type == "cuda":
        return _on_cuda()
    return torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()


@contextmanager
def _on_cuda() -> Iterator[None]:
    products = torch.backends.cuda.matmul
    before, products.fp32_precision = products.fp32_precision, "tf32"
    try:
        with torch.autocast("cuda", enabled=False):
            yield
    finally:
        products.fp32_precision = before
