"""PIDNet-S against what its published code gives, counts by hand, and its equations."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from platform.networks import PIDNetSmall
from platform.networks.architectures.pidnet import BoundaryAttention, PIDNet, PixelAttention, PyramidPooling
from platform.networks.cost import called_parameters, multiply_accumulates, multiply_add_operations, parameters

GIVEN: dict[tuple[int, int], tuple[list[float], list[float]]] = {
    (64, 128): (
        [-0.005948, 0.348302, 0.155657, -0.367195, -0.338095],
        [-0.00596, 0.348338, 0.011993, -0.375555, -0.313327],
    ),
    (192, 320): (
        [-0.006038, 0.374131, 0.384504, -0.830937, -0.481922],
        [-0.005971, 0.348299, 0.036265, -0.369181, -0.313674],
    ),
}
"""Mean, deviation and three places of the logits, and of the auxiliary ones, that the published code computed in
float64 with the weights of `filled`, on `waves` of these sizes."""


def network(width: float = 0.25) -> PIDNet:
    torch.manual_seed(0)
    return PIDNet(width=width)


def filled(net: PIDNet) -> PIDNet:
    """Weights that depend on the shape and the kind of each alone, and on no name."""
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            wave = torch.arange(tensor.numel(), dtype=torch.float64).mul(1.7).sin().view(tensor.shape)
            if tensor.dim() == 4:
                tensor.copy_(wave * 2 / tensor[0].numel() ** 0.5)
            else:
                tensor.copy_(wave / 2 + name.endswith(("running_var", "weight")))
    return net


def waves(height: int, width: int) -> Tensor:
    number = 2 * 3 * height * width
    return 127.5 * (1 + torch.arange(number, dtype=torch.float64).mul(0.7).sin().view(2, 3, height, width))


@pytest.mark.parametrize("size", GIVEN, ids=str)
def test_logits_are_those_of_the_published_code(size: tuple[int, int]) -> None:
    net = filled(network(1.0).double()).eval()
    with torch.no_grad():
        prediction = net(waves(*size), auxiliary=True)
    for logits, expected in zip((prediction.logits, *prediction.auxiliary), GIVEN[size], strict=True):
        places = [logits[0, 0, 0, 0], logits[1, 18, -1, -1], logits[0, 7, 3, 5]]
        assert [each.item() for each in (logits.mean(), logits.std(), *places)] == pytest.approx(expected, abs=2e-6)


def basic(inputs: int, outputs: int) -> int:
    """Parameters of a residual block of two 3x3 convolutions."""
    return 9 * outputs * (inputs + outputs) + 4 * outputs + (inputs * outputs + 2 * outputs) * (inputs != outputs)


def bottleneck(inputs: int, narrow: int) -> int:
    outputs = 2 * narrow
    projection = (inputs * outputs + 2 * outputs) * (inputs != outputs)
    return inputs * narrow + 9 * narrow**2 + narrow * outputs + 4 * narrow + 2 * outputs + projection


def head(inputs: int) -> int:
    return 2 * inputs + 9 * inputs * 128 + 2 * 128 + 128 * 19 + 19


def test_parameters_by_hand() -> None:
    with torch.device("meta"):
        net = PIDNet()
    branches, boundary = net.branches, net.boundary
    pyramid = 5 * (2 * 512 + 512 * 96) + 2 * 384 + 9 * 384 * 96 + 2 * 480 + 480 * 128 + 2 * 512 + 512 * 128
    expected: dict[nn.Module, int] = {
        branches.stem: 9 * 32 * (3 + 32) + 6 * 32,
        branches.quarter: 2 * basic(32, 32),
        branches.eighth: basic(32, 64) + basic(64, 64),
        branches.sixteenth: basic(64, 128) + 2 * basic(128, 128),
        branches.thirty_second: basic(128, 256) + 2 * basic(256, 256),
        branches.sixty_fourth: bottleneck(256, 256) + bottleneck(512, 256),
        branches.detail: 4 * basic(64, 64),
        branches.widen: bottleneck(64, 64),
        branches.compress: (128 + 256) * 64 + 4 * 64,
        branches.attend: 4 * (64 * 32 + 2 * 32),
        boundary.first: basic(64, 32),
        boundary.from_sixteenth: 9 * 128 * 32 + 2 * 32,
        boundary.second: bottleneck(32, 32),
        boundary.from_thirty_second: 9 * 256 * 64 + 2 * 64,
        boundary.third: bottleneck(64, 64),
        net.pyramid: pyramid,
        net.fusion: 2 * (128 * 128 + 2 * 128),
        net.auxiliary_classifier: head(64),
    }
    assert [parameters(part) for part in expected] == list(expected.values())
    assert parameters(net) == sum(expected.values()) + head(128)


def test_deployed_parameters_and_operations_are_the_published_ones() -> None:
    """7.6 million, and 47.6 GFLOPs at 2048 x 1024 by the convention that the docstring of the module names."""
    with torch.device("meta"):
        net, batch = PIDNet().eval(), torch.empty(1, 3, 1024, 2048)
        small = torch.empty(1, 3, 512, 1024)
    assert called_parameters(net, batch) == 7_625_715
    assert round(called_parameters(net, batch) / 1e6, 1) == 7.6
    assert multiply_add_operations(net, batch) / 2e9 == pytest.approx(47.194, abs=5e-4)
    assert multiply_add_operations(net, small) / 1e9 == pytest.approx(23.597, abs=5e-4)
    products = beside = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal products, beside
        products += multiply_accumulates(layer, inputs[0], output)
        beside += output.numel() * (isinstance(layer, nn.ReLU) + 2 * isinstance(layer, nn.BatchNorm2d))

    for layer in net.modules():
        if next(layer.children(), None) is None:
            layer.register_forward_hook(count)
    with torch.no_grad():
        net(batch)
    assert products / 1e9 == pytest.approx(47.194, abs=5e-4)
    assert round((products + beside) / 1e9, 1) == 47.6


@pytest.mark.parametrize("size", [(64, 128), (65, 97), (1, 1)])
def test_strides_rounded_up(size: tuple[int, int]) -> None:
    net = network().eval()
    with torch.no_grad():
        seen = net.branches(torch.zeros(1, 3, *size))
    context = (seen.shared, seen.sixteenth, seen.thirty_second, seen.sixty_fourth)
    for features, stride in zip((*context, seen.early_detail, seen.detail), (8, 16, 32, 64, 8, 8), strict=True):
        assert tuple(features.shape[-2:]) == tuple(-(-side // stride) for side in size)
    assert seen.early_detail.min() >= 0
    assert seen.detail.min() < 0


def test_pixel_attention_by_loops() -> None:
    torch.manual_seed(0)
    attention = PixelAttention(4, 2).eval().double()
    detail, context = torch.randn(1, 4, 2, 2, dtype=torch.float64), torch.randn(1, 4, 1, 1, dtype=torch.float64)
    with torch.no_grad():
        mixed = attention(detail, context)[0].numpy()
    of_detail, of_context = (
        layer.get_parameter("0.weight").detach()[:, :, 0, 0].numpy() / np.sqrt(1 + 1e-5)
        for layer in (attention.of_detail, attention.of_context)
    )
    for row, column in np.ndindex(2, 2):
        here, there = detail[0, :, row, column].numpy(), context[0, :, 0, 0].numpy()
        share = 1 / (1 + np.exp(-(of_detail @ here) @ (of_context @ there)))
        np.testing.assert_allclose(mixed[:, row, column], share * there + (1 - share) * here)


@pytest.mark.parametrize(("boundary", "attention"), [(-1e3, 0.0), (0.0, 0.5), (1e3, 1.0)])
def test_boundaries_choose_between_detail_and_context(boundary: float, attention: float) -> None:
    """With p = 2 and i = 3 everywhere, and convolutions that sum over 8 channels, times 1 and times 10."""
    fusion = BoundaryAttention(8).eval().double()
    for layer, weight in ((fusion.of_detail, 1.0), (fusion.of_context, 10.0)):
        nn.init.constant_(layer.get_parameter("0.weight"), weight)
    ones = torch.ones(1, 8, 1, 1, dtype=torch.float64)
    with torch.no_grad():
        y = fusion(2 * ones, 3 * ones, boundary * ones) * (1 + 1e-5) ** 0.5
    assert y.flatten().tolist() == pytest.approx([8 * (2 + (1 - attention) * 3) + 80 * (3 + attention * 2)] * 8)


def test_windows_count_the_zeros_around_a_small_map() -> None:
    pyramid = PyramidPooling(1, 1, 1)
    x = torch.tensor([[[[3.0, 5.0]]]])
    pools = [scale.get_submodule("0") for scale in pyramid.around]
    means = [pool(x).flatten().tolist() for pool in pools]
    assert means == [pytest.approx([8 / 25]), pytest.approx([8 / 81]), pytest.approx([8 / 289]), [4.0]]
    sizes = [tuple(pool(torch.zeros(1, 1, 16, 32)).shape[-2:]) for pool in pools]
    assert sizes == [(8, 16), (4, 8), (2, 4), (1, 1)]


def test_convolutions_start_as_published() -> None:
    """Normal, of deviation sqrt(2 / (outputs x window)), the grouped one included."""
    for name, layer in network(1.0).named_modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 20_000:
            expected = (2 / (layer.out_channels * layer.weight[0, 0].numel())) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05), name


def test_boundaries_learn_by_the_attention_that_they_give() -> None:
    net = network().train()
    net(255 * torch.rand(2, 3, 64, 128)).logits.square().mean().backward()
    for name, parameter in net.boundary.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_width_scales_every_channel_count() -> None:
    with torch.device("meta"):
        whole, quarter = PIDNet(), PIDNet(width=0.25)
    for (name, wide), narrow in zip(whole.named_parameters(), quarter.parameters(), strict=True):
        assert list(narrow.shape) == [size if size in (1, 3, 19) else size // 4 for size in wide.shape], name


def test_the_backbone_has_neither_boundaries_nor_heads() -> None:
    net = PIDNetSmall(width=0.25).build()
    assert isinstance(net, PIDNet)
    names = {
        name.split(".")[0]
        for name, parameter in net.named_parameters()
        if any(parameter is each for each in net.backbone().parameters())
    }
    assert names == {"branches"}


def test_a_width_without_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"PIDNetSmall\.width must be at least 0\.03125, got 0\.01"):
        PIDNetSmall(width=0.01)
