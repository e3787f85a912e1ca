"""ResNets against torchvision's, with the same weights, and their blocks with few channels."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import resnet as torchvision

from platform.networks.architectures.resnet import BasicBlock, Bottleneck, Depth, Projection, ResNet
from tests.support.weights import randomise

DEPTHS: list[Depth] = [18, 50, 101]
every_depth = pytest.mark.parametrize("depth", DEPTHS)


def oracle_of(depth: Depth, dilated: bool = False) -> torchvision.ResNet:
    build = {18: torchvision.resnet18, 50: torchvision.resnet50, 101: torchvision.resnet101}[depth]
    return build(replace_stride_with_dilation=[False, True, True]) if dilated else build()


@pytest.mark.parametrize(("depth", "dilated"), [(18, False), (50, True), (101, False)])
def test_features_are_torchvisions(depth: Depth, dilated: bool) -> None:
    torch.manual_seed(0)
    ours, oracle = randomise(ResNet(depth, dilated=dilated)).eval().double(), oracle_of(depth, dilated).eval().double()
    missing = oracle.load_state_dict(ours.state_dict(), strict=False)
    assert missing.missing_keys == ["fc.weight", "fc.bias"]
    assert not missing.unexpected_keys
    x = torch.randn(1, 3, 65, 98, dtype=torch.float64)
    with torch.no_grad():
        third, fourth = ours(x)
        y = oracle.layer2(oracle.layer1(oracle.maxpool(oracle.relu(oracle.bn1(oracle.conv1(x))))))
        torch.testing.assert_close(third, oracle.layer3(y))
        torch.testing.assert_close(fourth, oracle.layer4(oracle.layer3(y)))
    assert (third.shape[1], fourth.shape[1]) == ours.channels
    assert (third.shape[2], fourth.shape[2]) == ((9, 9) if dilated else (5, 3))


@every_depth
def test_it_starts_like_torchvisions(depth: Depth) -> None:
    torch.manual_seed(0)
    oracle = oracle_of(depth).state_dict()
    torch.manual_seed(1)
    state = ResNet(depth).state_dict()
    assert list(state) == [name for name in oracle if not name.startswith("fc.")]
    for name, value in state.items():
        assert value.shape == oracle[name].shape
        if value.dtype == torch.float32:
            torch.testing.assert_close(value.std(correction=0), oracle[name].std(correction=0), atol=0, rtol=0.05)


@every_depth
def test_width_scales_every_channel_count(depth: Depth) -> None:
    whole, quarter = ResNet(depth).state_dict(), ResNet(depth, width=0.25).state_dict()
    for name, value in whole.items():
        expected = [size if size in (1, 3, 7) else size // 4 for size in value.shape]
        assert list(quarter[name].shape) == expected, name


@pytest.mark.parametrize(
    "block", [partial(BasicBlock, 4, 4), partial(Bottleneck, 4, 2, 8, stride=2)], ids=["basic", "bottleneck"]
)
def test_an_unrectified_block_is_what_a_rectified_one_rectifies(block: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    rectified, plain = block(rectified=True), block(rectified=False)
    plain.load_state_dict(rectified.state_dict())
    x = torch.randn(2, 4, 5, 6)
    assert plain(x).min() < 0
    torch.testing.assert_close(rectified(x), plain(x).clamp(min=0))


@pytest.mark.parametrize("inputs", [1, 4, 7, 8])
@pytest.mark.parametrize("size", [(6, 8), (5, 9), (1, 1)])
def test_a_projection_of_few_channels_is_the_strided_convolution(inputs: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    projection = Projection(inputs, 16, stride=2).eval().double()
    convolution = projection[0]
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.stride == ((1, 1) if inputs < 8 else (2, 2))
    x = torch.randn(2, inputs, *size, dtype=torch.float64)
    expected = nn.functional.conv2d(x, convolution.weight, stride=2) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(projection(x), expected)
