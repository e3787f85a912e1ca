"""PIDNet-S: a branch for detail, one for context, one for boundaries, which decide where each of the others counts.

Source: Xu, Xiong, Bhattacharyya, "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers", CVPR
2023, arXiv 2206.02066; where the paper is silent, its code (github.com/XuJiacong/PIDNet).

With p, i and d the features of the proportional, integral and derivative branch at 1/8 of the image,

    y = BN(conv1x1(p + (1 - sigmoid(d)) i)) + BN(conv1x1(i + sigmoid(d) p)).

As deployed it has 7.6 million parameters, and at 2048 x 1024 the published 47.6 GFLOPs, where a multiply-accumulate
counts 1, a number that is normalised 2, and one that is rectified 1: 47.2 are multiply-accumulates. At 1024 x 512 that
is 23.6 GFLOPs at 2 per multiply-accumulate.

Departures: the derivative branch has no boundary head, and no loss of its own, since every method here trains the
network on the labels alone: it learns by the attention that it gives. Features are upsampled to the size of the detail,
and not to an eighth of the image rounded down, so that images need not be divisible by 8. The weights of the published
pre-training on ImageNet have no address that lasts, and are not offered. Published, the auxiliary head's loss has the
weight 0.4, which here is the recipe's to say.

Kept from the published code: the auxiliary head sees detail after the ReLU that follows, which works in place there;
pooling counts the zeros around a map, so that means of a small map, of which its windows see little else, are small.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from platform.networks import imagenet
from platform.networks.architectures.resnet import BasicBlock, Bottleneck, scaled
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Architecture, Domain, Network, Prediction
from platform.networks.operations.norm import BatchNorm2d
from platform.networks.operations.upsampling import upsample
from platform.shifts.labels import NUM_CLASSES

WINDOWS = ((5, 2), (9, 4), (17, 8))
"""Sides of the windows whose means the context is given, and their distances, in pixels at 1/64 of the image."""


@dataclass(frozen=True, kw_only=True)
class PIDNetSmall(Architecture):
    """PIDNet-S, the smallest of three published."""

    width: float = hyperparameter(1.0, at_least=1 / 32)
    """Factor on every channel count but the number of classes; 1 is the published network."""

    def build(self) -> Network:
        return PIDNet(width=self.width)

    def smoke(self) -> "PIDNetSmall":
        return PIDNetSmall(width=0.125)


class PIDNet(Network):
    """The network of `PIDNetSmall`; it normalises images, RGB in [0, 255], itself.

    In training mode a batch needs at least two images: means of a whole image are normalised over the batch.
    """

    def __init__(self, num_classes: int = NUM_CLASSES, width: float = 1.0) -> None:
        super().__init__()
        channels, mixed = scaled(32, width), scaled(128, width)
        self.branches = DetailAndContext(channels)
        self.boundary = Boundary(channels)
        self.pyramid = PyramidPooling(16 * channels, scaled(96, width), 4 * channels)
        self.fusion = BoundaryAttention(4 * channels)
        self.mix = _head(4 * channels, mixed)
        self.classifier = nn.Conv2d(mixed, num_classes, 1)
        self.auxiliary_classifier = nn.Sequential(_head(2 * channels, mixed), nn.Conv2d(mixed, num_classes, 1))
        self.normalise = imagenet.Normalisation()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], domain: Domain = "target", auxiliary: bool = False
    ) -> Prediction:
        """Predict logits at 1/8 of the images; `auxiliary` adds those from the detail that has met context once."""
        seen = self.branches(self.normalise(images))
        boundary = self.boundary(seen.shared, seen.sixteenth, seen.thirty_second)
        context = upsample(self.pyramid(seen.sixty_fourth), seen.detail.shape[-2:])
        features = self.mix(self.fusion(seen.detail, context, boundary))
        deep = (self.auxiliary_classifier(seen.early_detail),) if auxiliary else ()
        return Prediction(self.classifier(features), deep, features)

    def backbone(self) -> nn.Module:
        """The branches for detail and context, which are what was published as trained on ImageNet."""
        return self.branches


@dataclass(frozen=True)
class Seen:
    """What the branches for detail and context see."""

    shared: Float[Tensor, "batch _ rows columns"]
    """Features at 1/8 of the image, before the branches part."""
    sixteenth: Float[Tensor, "batch _ _ _"]
    thirty_second: Float[Tensor, "batch _ _ _"]
    sixty_fourth: Float[Tensor, "batch _ _ _"]
    """Context at 1/16, 1/32 and 1/64 of the image."""
    early_detail: Float[Tensor, "batch _ rows columns"]
    """Detail at 1/8, rectified, after it has met the context at 1/16."""
    detail: Float[Tensor, "batch _ rows columns"]
    """Detail at 1/8, after it has met the context at 1/32."""


class DetailAndContext(nn.Module):
    """The proportional branch, which stays at 1/8 of the image, and the integral one, which goes on to 1/64."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        eighth, sixteenth, thirty_second = 2 * channels, 4 * channels, 8 * channels
        self.stem = nn.Sequential(_strided(3, channels), _strided(channels, channels))
        self.quarter = nn.Sequential(BasicBlock(channels, channels), BasicBlock(channels, channels))
        self.eighth = nn.Sequential(BasicBlock(channels, eighth, stride=2), BasicBlock(eighth, eighth))
        self.sixteenth = _halved(eighth, sixteenth)
        self.thirty_second = _halved(sixteenth, thirty_second)
        self.sixty_fourth = nn.Sequential(
            Bottleneck(thirty_second, thirty_second, 2 * thirty_second, stride=2, rectified=False),
            Bottleneck(2 * thirty_second, thirty_second, 2 * thirty_second, rectified=False),
        )
        self.detail = nn.ModuleList([_unrectified(eighth), _unrectified(eighth)])
        self.compress = nn.ModuleList([_projected(sixteenth, eighth), _projected(thirty_second, eighth)])
        self.attend = nn.ModuleList([PixelAttention(eighth, channels), PixelAttention(eighth, channels)])
        self.widen = Bottleneck(eighth, eighth, 2 * eighth, rectified=False)
        self.relu = nn.ReLU()

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Seen:
        """Compute features of both branches from normalised images."""
        shared = self.eighth(self.quarter(self.stem(images)))
        sixteenth = self.sixteenth(shared)
        thirty_second = self.thirty_second(sixteenth)
        (first, second), (compress_first, compress_second) = self.detail, self.compress
        attend_first, attend_second = self.attend
        early = self.relu(attend_first(first(shared), compress_first(sixteenth)))
        late = self.relu(attend_second(second(early), compress_second(thirty_second)))
        return Seen(shared, sixteenth, thirty_second, self.sixty_fourth(thirty_second), early, self.widen(late))


class Boundary(nn.Module):
    """The derivative branch: where context changes, at 1/8 of the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = BasicBlock(2 * channels, channels, rectified=False)
        self.from_sixteenth = _projected(4 * channels, channels, side=3)
        self.second = Bottleneck(channels, channels, 2 * channels, rectified=False)
        self.from_thirty_second = _projected(8 * channels, 2 * channels, side=3)
        self.third = Bottleneck(2 * channels, 2 * channels, 4 * channels, rectified=False)
        self.relu = nn.ReLU()

    def forward(
        self,
        shared: Float[Tensor, "batch _ rows columns"],
        sixteenth: Float[Tensor, "batch _ _ _"],
        thirty_second: Float[Tensor, "batch _ _ _"],
    ) -> Float[Tensor, "batch _ rows columns"]:
        """Compute how much of a boundary there is, before a sigmoid, for each place and channel."""
        size = shared.shape[-2:]
        x = self.relu(self.first(shared) + upsample(self.from_sixteenth(sixteenth), size))
        x = self.relu(self.second(x) + upsample(self.from_thirty_second(thirty_second), size))
        y: Tensor = self.third(x)
        return y


class PixelAttention(nn.Module):
    """(1 - s) x + s y with s = sigmoid(sum_c f(x)_c g(y)_c), f and g BN(conv1x1): detail takes context like itself."""

    def __init__(self, inputs: int, narrow: int) -> None:
        super().__init__()
        self.of_detail = _projected(inputs, narrow)
        self.of_context = _projected(inputs, narrow)

    def forward(
        self, detail: Float[Tensor, "batch inputs height width"], context: Float[Tensor, "batch inputs rows columns"]
    ) -> Float[Tensor, "batch inputs height width"]:
        """Mix context into detail, at the detail's size."""
        size = detail.shape[-2:]
        alike = self.of_detail(detail) * upsample(self.of_context(context), size)
        share = alike.sum(dim=1, keepdim=True).sigmoid().to(detail.dtype)
        y: Tensor = (1 - share) * detail + share * upsample(context, size)
        return y


class PyramidPooling(nn.Module):
    """Context at five scales: as it is, of windows of 5, 9 and 17 pixels, and of the whole image."""

    def __init__(self, inputs: int, narrow: int, outputs: int) -> None:
        super().__init__()
        pools = [nn.AvgPool2d(side, stride, padding=side // 2) for side, stride in WINDOWS]
        self.here = _preactivated(inputs, narrow)
        self.around = nn.ModuleList(
            nn.Sequential(pool, _preactivated(inputs, narrow)) for pool in (*pools, nn.AdaptiveAvgPool2d(1))
        )
        scales = len(self.around)
        self.process = _preactivated(scales * narrow, scales * narrow, side=3, groups=scales)
        self.compress = _preactivated((scales + 1) * narrow, outputs)
        self.shortcut = _preactivated(inputs, outputs)

    def forward(self, x: Float[Tensor, "batch inputs rows columns"]) -> Float[Tensor, "batch outputs rows columns"]:
        """Mix all scales."""
        here = self.here(x)
        around = [upsample(scale(x), x.shape[-2:]) + here for scale in self.around]
        scales = torch.cat([here, self.process(torch.cat(around, dim=1))], dim=1)
        y: Tensor = self.compress(scales) + self.shortcut(x)
        return y


class BoundaryAttention(nn.Module):
    """BN(conv1x1(p + (1 - sigmoid(d)) i)) + BN(conv1x1(i + sigmoid(d) p)): detail at boundaries, context elsewhere."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_detail = _projected(channels, channels)
        self.of_context = _projected(channels, channels)

    def forward(
        self,
        detail: Float[Tensor, "batch channels rows columns"],
        context: Float[Tensor, "batch channels rows columns"],
        boundary: Float[Tensor, "batch channels rows columns"],
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Fuse the three branches."""
        attention = boundary.sigmoid()
        y: Tensor = self.of_detail(detail + (1 - attention) * context) + self.of_context(context + attention * detail)
        return y


def _strided(inputs: int, outputs: int) -> nn.Sequential:
    """ReLU(BN(conv3x3(x))) at half of the resolution; the convolution has a bias, as published."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _halved(inputs: int, outputs: int) -> nn.Sequential:
    """Three residual blocks at half of the resolution."""
    return nn.Sequential(
        BasicBlock(inputs, outputs, stride=2), BasicBlock(outputs, outputs), BasicBlock(outputs, outputs)
    )


def _unrectified(channels: int) -> nn.Sequential:
    """Two residual blocks without a ReLU at their end."""
    return nn.Sequential(BasicBlock(channels, channels), BasicBlock(channels, channels, rectified=False))


def _projected(inputs: int, outputs: int, side: int = 1) -> nn.Sequential:
    """BN(conv(x))."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False), BatchNorm2d(outputs))


def _preactivated(inputs: int, outputs: int, side: int = 1, groups: int = 1) -> nn.Sequential:
    """conv(ReLU(BN(x)))."""
    convolution = nn.Conv2d(inputs, outputs, side, padding=side // 2, groups=groups, bias=False)
    return nn.Sequential(BatchNorm2d(inputs), nn.ReLU(inplace=True), convolution)


def _head(inputs: int, outputs: int) -> nn.Sequential:
    """ReLU(BN(conv3x3(ReLU(BN(x))))), what a classifier sees."""
    return nn.Sequential(_preactivated(inputs, outputs, side=3), BatchNorm2d(outputs), nn.ReLU(inplace=True))
