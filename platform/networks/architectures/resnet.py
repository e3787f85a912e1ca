"""ResNet up to its last block: what other networks take features from.

Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385. Parameters are
named as torchvision names them, so that its ImageNet weights fit.

Departure, torchvision's: a bottleneck takes its stride in the 3x3 convolution, not in the first 1x1.
"""

from collections.abc import Mapping
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from platform.networks import imagenet
from platform.networks.operations.norm import BatchNorm2d

Depth = Literal[18, 50, 101]
"""How many layers a ResNet has, with the classifier that is left out here."""
BLOCKS: dict[Depth, tuple[int, int, int, int]] = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Residual blocks of the four stages: basic ones in ResNet-18, bottlenecks in the others."""
WIDENED = 4
"""How many times as many channels a bottleneck of ResNet gives as it is wide."""


class ResNet(nn.Module):
    """ResNet without its pooling and its classifier; `width` is a factor on every channel count.

    Its four stages are at 1/4, 1/8, 1/16 and 1/32 of the image. If `dilated`, the last two stay at 1/8: where one would
    halve the resolution, the distances between the pixels that its 3x3 convolutions see are doubled instead, from its
    second block on.
    """

    def __init__(self, depth: Depth, width: float = 1.0, dilated: bool = False) -> None:
        super().__init__()
        self.depth = depth
        narrow = [scaled(channels, width) for channels in (64, 128, 256, 512)]
        wide = narrow if depth == 18 else [WIDENED * channels for channels in narrow]
        first, second, third, fourth = BLOCKS[depth]
        self.conv1 = nn.Conv2d(3, narrow[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm2d(narrow[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(narrow[0], narrow[0], wide[0], first)
        self.layer2 = _stage(wide[0], narrow[1], wide[1], second, stride=2)
        if dilated:
            self.layer3 = _stage(wide[1], narrow[2], wide[2], third, dilations=(1, 2))
            self.layer4 = _stage(wide[2], narrow[3], wide[3], fourth, dilations=(2, 4))
        else:
            self.layer3 = _stage(wide[1], narrow[2], wide[2], third, stride=2)
            self.layer4 = _stage(wide[2], narrow[3], wide[3], fourth, stride=2)
        self.channels = (wide[2], wide[3])
        """How many channels the features of the last two stages have."""
        self.strides = (8, 8) if dilated else (16, 32)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[
        Float[Tensor, "batch {self.channels[0]} -(-height//{self.strides[0]}) -(-width//{self.strides[0]})"],
        Float[Tensor, "batch {self.channels[1]} -(-height//{self.strides[1]}) -(-width//{self.strides[1]})"],
    ]:
        """Compute features of the last two stages from normalised images."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        third = self.layer3(self.layer2(self.layer1(x)))
        return third, self.layer4(third)


class BasicBlock(nn.Module):
    """ReLU(shortcut(x) + BN(conv3x3(ReLU(BN(conv3x3(x)))))); the last ReLU is left out unless `rectified`."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, rectified: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)
        self.rectified = rectified

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """Add the residual to the shortcut at 1 / stride of the resolution, rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        residual = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y: Tensor = residual + shortcut
        return self.relu(y) if self.rectified else y


class Bottleneck(nn.Module):
    """ReLU(shortcut(x) + BN(conv1x1(ReLU(BN(conv3x3(ReLU(BN(conv1x1(x)))))))), with `narrow` channels between.

    The last ReLU is left out unless `rectified`.
    """

    def __init__(
        self, inputs: int, narrow: int, outputs: int, stride: int = 1, dilation: int = 1, rectified: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, narrow, 1, bias=False)
        self.bn1 = BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, outputs, 1, bias=False)
        self.bn3 = BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)
        self.rectified = rectified

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """Add the residual to the shortcut at 1 / stride of the resolution, rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        narrow = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        y: Tensor = self.bn3(self.conv3(narrow)) + shortcut
        return self.relu(y) if self.rectified else y


class Projection(nn.Sequential):
    """BN(conv1x1(x)) at 1 / stride of the resolution, rounded up: the shortcut where sizes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        # Of a strided 1x1 convolution of fewer than 8 channels oneDNN has, on CPUs without AVX-512, a wrong gradient or
        # none, or ends the process (its issue 6035). Of every other pixel it is the same, but for the last bits.
        every = stride if inputs < 8 else 1
        super().__init__(nn.Conv2d(inputs, outputs, 1, stride=stride // every, bias=False), BatchNorm2d(outputs))
        self.every = every

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """Project the pixels that are kept."""
        convolution, norm = self
        y: Tensor = norm(convolution(x[..., :: self.every, :: self.every]))
        return y


def load_imagenet_weights(resnet: ResNet) -> None:
    """Load torchvision's first ImageNet weights of a ResNet of width 1. Raises NoWeights."""
    # Imported here because torchvision takes a second and a half, which plans and workers need not wait for.
    from torchvision.models import resnet as published

    def take(state: Mapping[str, Tensor]) -> None:
        resnet.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})

    weights = {18: published.ResNet18_Weights, 50: published.ResNet50_Weights, 101: published.ResNet101_Weights}
    imagenet.load(weights[resnet.depth].IMAGENET1K_V1, f"ResNet-{resnet.depth}", take)


def scaled(channels: int, width: float) -> int:
    """A published channel count times a factor, as a whole number."""
    return round(channels * width)


def _stage(
    inputs: int, narrow: int, outputs: int, blocks: int, stride: int = 1, dilations: tuple[int, int] = (1, 1)
) -> nn.Sequential:
    """Residual blocks, the first of which takes the stride; `dilations` are the first one's and that of the others."""
    if narrow == outputs:
        return nn.Sequential(
            BasicBlock(inputs, outputs, stride), *(BasicBlock(outputs, outputs) for _ in range(blocks - 1))
        )
    first, others = dilations
    return nn.Sequential(
        Bottleneck(inputs, narrow, outputs, stride, first),
        *(Bottleneck(outputs, narrow, outputs, dilation=others) for _ in range(blocks - 1)),
    )


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """What makes the input of a residual block as large as its output; None where it is."""
    return Projection(inputs, outputs, stride) if stride != 1 or inputs != outputs else None
