"""A gradient lies in memory as what it is the gradient of."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from platform.networks.operations.layout import laid_out_alike


def gradient(x: Tensor, way: Callable[[Tensor], Tensor], weights: Tensor) -> Tensor:
    """That of a sum over channels first, which comes in an order of its own, as it reaches x by this way."""
    seen: list[Tensor] = []
    between = x * 1.0
    between.register_hook(seen.append)  # type: ignore[no-untyped-call]
    torch.autograd.grad((weights * way(between).movedim(1, 0).flatten(1)).sum(), x)
    return seen[0]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_gradient_that_comes_in_another_order_lies_as_its_numbers_do(layout: torch.memory_format) -> None:
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()
    weights = torch.randn(3, 2 * 4 * 5)
    found, as_it_comes = gradient(x, laid_out_alike, weights), gradient(x, torch.clone, weights)
    assert found.is_contiguous(memory_format=layout)
    assert not as_it_comes.is_contiguous(memory_format=layout)
    assert torch.equal(found, as_it_comes)
