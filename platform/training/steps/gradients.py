"""Gradients of a player's own loss with respect to its own parameters, and what they are added to."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer


def differentiate(
    loss: Float[Tensor, ""], parameters: Sequence[nn.Parameter], keep_graph: bool
) -> Sequence[Float[Tensor, "..."] | None]:
    """Add the gradients of a loss to those that parameters have; returned is what was added, None for no dependence."""
    gradients = torch.autograd.grad(loss, parameters, retain_graph=keep_graph, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter.grad is None:
            parameter.grad = None if gradient is None else _laid_out_as(parameter, gradient)
        elif gradient is not None:
            parameter.grad += gradient
    return gradients


def has_gradient(optimiser: Optimizer) -> bool:
    """Whether any of its parameters has one."""
    return any(parameter.grad is not None for group in optimiser.param_groups for parameter in group["params"])


def _laid_out_as(parameter: Float[Tensor, "..."], gradient: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """A gradient whose numbers lie in memory as the parameter's do, which fused optimisers take for granted."""
    if _strides(gradient) == _strides(parameter):
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def _strides(tensor: Float[Tensor, "..."]) -> list[int]:
    """The strides of the sides that are longer than 1, which alone say where numbers lie."""
    return [stride for side, stride in zip(tensor.shape, tensor.stride(), strict=True) if side > 1]
