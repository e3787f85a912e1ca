"""The discriminator against five strided convolutions written out."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from platform.networks.discriminator import Discriminator


def probabilities(batch: int = 2, height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(batch, 19, height, width, generator=torch.Generator().manual_seed(0)).softmax(1)


def discriminator(separable: bool, width: int = 8) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(width=width, separable=separable)


def full_convolution(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of one 4x4 convolution; a separable layer is the low-rank one that it equals."""
    if isinstance(layer, nn.Conv2d):
        return layer.weight, biases(layer)
    assert isinstance(layer, nn.Sequential)
    depthwise, pointwise = layer
    assert isinstance(depthwise, nn.Conv2d)
    assert isinstance(pointwise, nn.Conv2d)
    matrix = pointwise.weight[:, :, 0, 0]
    weight = torch.einsum("oi,ihw->oihw", matrix, depthwise.weight[:, 0])
    return weight, matrix @ biases(depthwise) + biases(pointwise)


def biases(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


@pytest.mark.parametrize(("separable", "expected"), [(False, 2_781_121), (True, 191_364)])
def test_number_of_parameters(separable: bool, expected: int) -> None:
    module = Discriminator(num_classes=19, width=64, separable=separable)
    assert sum(parameter.numel() for parameter in module.parameters()) == expected


@pytest.mark.parametrize("separable", [False, True])
def test_equals_five_strided_convolutions(separable: bool) -> None:
    module = discriminator(separable)
    expected = probabilities()
    with torch.no_grad():
        for number, layer in enumerate(module.convolutions):
            if number > 0:
                expected = torch.where(expected > 0, expected, 0.2 * expected)
            expected = functional.conv2d(expected, *full_convolution(layer), stride=2, padding=1)
        torch.testing.assert_close(module(probabilities()), expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("separable", [False, True])
def test_width_is_the_first_of_the_channels(separable: bool) -> None:
    shapes = [full_convolution(layer)[0].shape for layer in discriminator(separable, width=6).convolutions]
    assert [tuple(shape[:2]) for shape in shapes] == [(6, 19), (12, 6), (24, 12), (48, 24), (1, 48)]


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 128), (97, 130), (33, 255)])
def test_one_logit_per_32_pixels(separable: bool, height: int, width: int) -> None:
    with torch.no_grad():
        logits = discriminator(separable)(probabilities(1, height, width))
    assert logits.shape == (1, 1, height // 32, width // 32)


@pytest.mark.parametrize(("height", "width"), [(31, 64), (64, 31), (8, 16)])
def test_too_small_an_input_is_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=rf"at least 32 pixels, got {height} x {width}; upsample"):
        discriminator(False)(probabilities(1, height, width))


@pytest.mark.parametrize("separable", [False, True])
def test_gradients_reach_every_parameter_and_the_input(separable: bool) -> None:
    module = discriminator(separable)
    x = probabilities().requires_grad_()
    torch.autograd.backward(functional.binary_cross_entropy_with_logits(logits := module(x), torch.zeros_like(logits)))
    for name, tensor in [*module.named_parameters(), ("input", x)]:
        assert tensor.grad is not None, name
        assert tensor.grad.isfinite().all(), name
        assert tensor.grad.abs().sum() > 0, name


@pytest.mark.parametrize("separable", [False, True])
def test_two_losses_may_share_one_forward_pass(separable: bool) -> None:
    module, x = discriminator(separable), probabilities().requires_grad_()
    logits = module(x)
    towards_source = torch.autograd.grad(logits.square().sum(), x, retain_graph=True)
    towards_target = torch.autograd.grad((logits - 1).square().sum(), list(module.parameters()))
    again = torch.autograd.grad(module(x).square().sum(), x)
    once_more = torch.autograd.grad((module(x) - 1).square().sum(), list(module.parameters()))
    pairs = zip(towards_source + towards_target, again + once_more, strict=True)
    assert all(torch.equal(first, second) for first, second in pairs)


@pytest.mark.parametrize("separable", [False, True])
def test_state_round_trip_and_determinism(separable: bool) -> None:
    torch.manual_seed(1)
    copy = Discriminator(width=8, separable=separable)
    source = discriminator(separable)
    copy.load_state_dict(source.state_dict())
    with torch.no_grad():
        assert torch.equal(source(probabilities()), copy(probabilities()))
        assert torch.equal(source(probabilities()), discriminator(separable)(probabilities()))


def test_autocast_keeps_gradients_in_float32() -> None:
    module = discriminator(False)
    with torch.autocast("cpu", torch.bfloat16):
        logits = module(probabilities())
    logits.float().square().mean().backward()
    assert logits.dtype == torch.bfloat16
    for parameter in module.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float32
