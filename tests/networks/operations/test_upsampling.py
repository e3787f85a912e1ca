"""Upsampling as matrix products, against PyTorch's own interpolation and by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from platform.networks.operations.layout import layout
from platform.networks.operations.upsampling import gradient_of_upsample, single_precision, upsample, weights
from tests.support.operations import operations_of

LAYOUTS = (torch.contiguous_format, torch.channels_last)
SIZES = [
    ((4, 8), (32, 64)),
    ((2, 4), (4, 16)),
    ((5, 7), (13, 31)),
    ((1, 1), (6, 4)),
    ((3, 1), (3, 9)),
    ((8, 8), (8, 8)),
    ((7, 9), (3, 4)),
    ((1, 5), (1, 40)),
]


def interpolated(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)


def values(channels: int, size: tuple[int, int], dtype: torch.dtype = torch.float32) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(2, channels, *size, generator=random, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("memory_format", LAYOUTS)
@pytest.mark.parametrize("channels", [1, 3, 19])
@pytest.mark.parametrize(("small", "big"), SIZES)
def test_it_is_bilinear_interpolation_and_so_is_its_gradient(
    small: tuple[int, int], big: tuple[int, int], channels: int, memory_format: torch.memory_format
) -> None:
    x = values(channels, small).to(memory_format=memory_format).requires_grad_()
    exact = values(channels, small, torch.float64).requires_grad_()
    y, expected = upsample(x, big), interpolated(exact, big)
    torch.testing.assert_close(y.double(), expected, atol=2e-6, rtol=0)
    gradient = values(channels, big)
    (found,) = torch.autograd.grad(y, x, gradient)
    (wanted,) = torch.autograd.grad(expected, exact, gradient.double())
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("memory_format", LAYOUTS)
def test_the_result_lies_in_memory_as_what_is_resized(memory_format: torch.memory_format) -> None:
    y = upsample(values(19, (4, 8)).to(memory_format=memory_format), (32, 64))
    assert y.is_contiguous(memory_format=memory_format)


def test_what_has_the_size_is_left_as_it_is() -> None:
    """A product with ones on the diagonal would round it on CUDA, and take its time everywhere."""
    x = values(19, (4, 8))
    assert upsample(x, (4, 8)) is x


@pytest.mark.parametrize("memory_format", LAYOUTS)
def test_gradients_of_gradients_are_those_of_a_linear_function(memory_format: torch.memory_format) -> None:
    x = values(2, (3, 4), torch.float64).to(memory_format=memory_format).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: upsample(x, (7, 8)), x)
    assert torch.autograd.gradgradcheck(lambda x: upsample(x, (7, 8)), x)


def test_rows_of_the_matrix_are_shares() -> None:
    for big, small in ((8, 1), (16, 2), (31, 7), (3, 9), (512, 64)):
        matrix = weights(big, small, torch.device("cpu"), torch.float64)
        assert matrix.min() >= 0
        torch.testing.assert_close(matrix.sum(dim=1), torch.ones(big, dtype=torch.float64), atol=1e-12, rtol=0)
        assert ((matrix > 0).sum(dim=1) <= 2).all()
    expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    assert weights(4, 2, torch.device("cpu"), torch.float32).tolist() == expected


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once_by_a_product_and_at_odd_ratios_once_in_all(half: torch.dtype) -> None:
    """Each rounding is of half a last place; at an eighth the weights, multiples of 1/16, are exact."""
    for small, big, roundings in (((4, 8), (32, 64), 2), ((5, 7), (33, 50), 1)):
        logits = (20 * values(19, small)).to(half).requires_grad_()
        exact = logits.detach().double().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = upsample(logits, big)
        expected = interpolated(exact, big)
        gradient = values(19, big).to(half)
        (found,) = torch.autograd.grad(y, logits, gradient)
        (wanted,) = torch.autograd.grad(expected, exact, gradient.double())
        last_place = torch.finfo(half).eps / 2
        assert y.dtype == found.dtype == half
        assert torch.equal(gradient_of_upsample(gradient, small), found)
        assert (y.double() - expected).abs().max() <= 1.01 * roundings * last_place * exact.abs().max()
        assert (found.double() - wanted).abs().max() <= 3 * last_place * wanted.abs().max()
    assert single_precision(logits).dtype == torch.float32
    assert single_precision(logits.double()).dtype == torch.float64


def test_what_an_evaluation_resized_first_is_trained_afterwards() -> None:
    size = (23, 29)  # that no other test asks for
    with torch.inference_mode():
        upsample(values(3, (5, 6)), size)
    x = values(3, (5, 6)).requires_grad_()
    upsample(x, size).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None


def test_nothing_without_a_fixed_order_on_a_gpu_is_used() -> None:
    """There `upsample_bilinear2d_backward` adds up in any order, and its replacement sorts."""
    x = values(19, (4, 8)).requires_grad_()
    names = operations_of(lambda: torch.autograd.backward(upsample(x, (32, 64)).sum()))
    assert {"aten::mm", "aten::bmm"} & names.keys()
    assert not [name for name in names if "upsample" in name or "index" in name or "scatter" in name]


def test_layouts_are_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert layout(torch.device("cuda")) == torch.channels_last
    expected_of = {"AVX512": torch.channels_last, "AVX2": torch.contiguous_format, "DEFAULT": torch.channels_last}
    for capability, expected in expected_of.items():
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        assert layout(torch.device("cpu")) == expected
