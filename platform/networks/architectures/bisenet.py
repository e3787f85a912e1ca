"""BiSeNet on ResNet-18 or ResNet-101, as the original study built it.

Source: Yu, Wang, Peng, Gao, Yu, Sang, "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation",
ECCV 2018, arXiv 1808.00897.

Departure of the original study from the paper, kept: the fusion and the classifiers work in as many channels as there
are classes.

Departures from the original study, none of which changes a function it could compute: every 1x1 classifier runs before
the bilinear upsampling, not after it (both are linear and the weights of an interpolation sum to one, so they commute);
ResNet's unused ImageNet classifier is left out; features are upsampled to a size, not by a factor, so that images need
not be divisible by 32. One changes the function on purpose: images are normalised as the ImageNet weights expect.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from platform.networks import imagenet
from platform.networks.architectures.resnet import Depth, ResNet, load_imagenet_weights, scaled
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Architecture, Domain, Network, Prediction
from platform.networks.operations.norm import BatchNorm2d
from platform.networks.operations.upsampling import upsample
from platform.shifts.labels import NUM_CLASSES

IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Features:
    """What the classifiers see."""

    fused: Float[Tensor, "batch classes rows columns"]
    """Features at 1/8 of the image, rounded up, for the final classifier."""
    context: tuple[Float[Tensor, "batch _ _ _"], Float[Tensor, "batch _ _ _"]]
    """Refined context at 1/16 and at 1/32 of the image, for the auxiliary classifiers."""


@dataclass(frozen=True, kw_only=True)
class _Described(Architecture):
    """What BiSeNets on ResNets of any depth have in common."""

    depth: ClassVar[Depth]

    width: float = hyperparameter(1.0, at_least=1 / 64)
    """Factor on every channel count but those that equal the number of classes; 1 is the published network."""
    pretrained: bool = hyperparameter(False, choices=(False, True))
    """Whether the context path starts from ImageNet weights, which exist for width 1 alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        imagenet.check_width(self, self.width, self.pretrained)

    def build(self) -> Network:
        return BiSeNet(width=self.width, pretrained=self.pretrained, depth=self.depth)

    def bare(self) -> Self:
        return replace(self, pretrained=False)

    def smoke(self) -> Self:
        return replace(self, width=0.125, pretrained=False)


@dataclass(frozen=True, kw_only=True)
class BiSeNet18(_Described):
    """BiSeNet on ResNet-18."""

    depth = 18


@dataclass(frozen=True, kw_only=True)
class BiSeNet101(_Described):
    """BiSeNet on ResNet-101, four times as many channels of context."""

    depth = 101


class BiSeNet(Network):
    """Real-time segmentation by a shallow spatial path beside a deep context path.

    Images are RGB in [0, 255]; the network normalises them itself, so that nothing which belongs before normalisation
    can be done after it. In training mode a batch needs at least two images: the attention normalises maps of one pixel
    over the batch.

    `width` scales every channel count but those that equal the number of classes; `pretrained` starts the context path
    from ImageNet; `depth` is the number of layers of its ResNet. Raises ValueError for a width that leaves no channel,
    and for pretrained weights that do not exist for the width; NoWeights for those that cannot be had.
    """

    def __init__(
        self, num_classes: int = NUM_CLASSES, width: float = 1.0, pretrained: bool = False, depth: Depth = 18
    ) -> None:
        super().__init__()
        if not 1 / 64 <= width < math.inf:
            raise ValueError(f"BiSeNet's width must be at least 1/64, which leaves one channel, got {width!r}")
        if pretrained and width != 1:
            raise ValueError(f"ImageNet weights exist for width 1 only, got {width!r}: set width=1 or pretrained=False")
        half, quarter, eighth = (scaled(channels, width) for channels in (64, 128, 256))
        self.spatial_path = nn.Sequential(
            ConvolutionBlock(3, half, stride=2),
            ConvolutionBlock(half, quarter, stride=2),
            ConvolutionBlock(quarter, eighth, stride=2),
        )
        self.context_path = ResNet(depth, width)
        sixteenth, thirty_second = self.context_path.channels
        self.refinements = nn.ModuleList([AttentionRefinement(sixteenth), AttentionRefinement(thirty_second)])
        self.fusion = FeatureFusion(eighth + sixteenth + thirty_second, num_classes)
        self.classifier = nn.Conv2d(num_classes, num_classes, 1)
        self.auxiliary_classifiers = nn.ModuleList(
            [nn.Conv2d(sixteenth, num_classes, 1), nn.Conv2d(thirty_second, num_classes, 1)]
        )
        self.normalise = imagenet.Normalisation()
        if pretrained:
            load_imagenet_weights(self.context_path)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], domain: Domain = "target", auxiliary: bool = False
    ) -> Prediction:
        """Predict logits at 1/8 of the images; `auxiliary` adds those from the context at 1/16 and at 1/32."""
        features = self.features(images)
        logits = self.classifier(features.fused)
        heads = zip(self.auxiliary_classifiers, features.context, strict=True) if auxiliary else ()
        size = _size(logits)
        deep = tuple(upsample(classify(context), size) for classify, context in heads)
        return Prediction(logits, deep, features.fused)

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Features:
        """Compute what the classifiers see, from images in [0, 255]."""
        normalised = self.normalise(images)
        spatial = self.spatial_path(normalised)
        sixteenth, thirty_second = self.context_path(normalised)
        tail = thirty_second.mean((2, 3), keepdim=True)
        refine_sixteenth, refine_thirty_second = self.refinements
        sixteenth = refine_sixteenth(sixteenth)
        thirty_second = refine_thirty_second(thirty_second) * tail
        size = _size(spatial)
        fused = self.fusion(torch.cat([spatial, upsample(sixteenth, size), upsample(thirty_second, size)], dim=1))
        return Features(fused, (sixteenth, thirty_second))

    def backbone(self) -> nn.Module:
        """The context path, a ResNet."""
        return self.context_path

    def published(self) -> nn.Module:
        """The network with its final classifier after the upsampling, and with ResNet's unused classifier."""
        return PublishedOrder(self)


class PublishedOrder(nn.Module):
    """BiSeNet as published: the final 1x1 convolution after the upsampling, on 64 times the pixels."""

    def __init__(self, network: BiSeNet) -> None:
        super().__init__()
        self.network = network
        self.unused = nn.Linear(network.context_path.channels[-1], IMAGENET_CLASSES)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes height width"]:
        """Logits at the images' size."""
        logits: Tensor = self.network.classifier(upsample(self.network.features(images).fused, _size(images)))
        return logits


class ConvolutionBlock(nn.Module):
    """Convolution 3x3, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm = BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """Convolve, normalise and rectify at 1 / stride of the resolution, rounded up."""
        y: Tensor = self.relu(self.norm(self.convolution(x)))
        return y


class AttentionRefinement(nn.Module):
    """Channels weighted by their global context: x * sigmoid(BN(conv1x1(mean(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.convolution = nn.Conv2d(channels, channels, 1)
        self.norm = BatchNorm2d(channels)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """Weight the channels of `x`."""
        attention: Tensor = self.sigmoid(self.norm(self.convolution(self.pool(x))))
        return x * attention


class FeatureFusion(nn.Module):
    """y + y * a, with y = ReLU(BN(conv3x3(x))) and a = sigmoid(conv1x1(ReLU(conv1x1(mean(y)))))."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block = ConvolutionBlock(inputs, outputs, stride=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(outputs, outputs, 1)
        self.relu = nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(outputs, outputs, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs height width"]:
        """Fuse both paths, concatenated in `x`, into as many channels as there are classes."""
        y: Tensor = self.block(x)
        attention: Tensor = self.sigmoid(self.excite(self.relu(self.squeeze(self.pool(y)))))
        return torch.addcmul(y, y, attention)


def _size(x: Float[Tensor, "batch channels rows columns"]) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]
