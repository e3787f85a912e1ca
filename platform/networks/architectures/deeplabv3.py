"""DeepLabV3 on a dilated ResNet, as torchvision builds it.

Source: Chen, Papandreou, Schroff, Adam, "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017, arXiv
1706.05587.

Features y at 1/8 of the image go through a pyramid of scales: with C a convolution, batch norm and ReLU,

    C1x1(concatenate(C1x1(y), C3x3 dilated by 12, by 24, by 36 (y), C1x1(mean of y))).

Departures of torchvision from the paper, kept: the stage before the last has an auxiliary classifier; dropout of 0.5
after the pyramid and of 0.1 before the auxiliary classifier; a 3x3 convolution between pyramid and classifier; all
blocks of the last stage but the first are dilated alike, not by a grid of 1, 2 and 4. Departure from torchvision, which
changes no more than the last bits: the mean, one pixel, is repeated over the map, not upsampled to it.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from platform.networks import imagenet
from platform.networks.architectures.resnet import Depth, ResNet, load_imagenet_weights, scaled
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Architecture, Domain, Network, Prediction
from platform.networks.operations.norm import BatchNorm2d
from platform.shifts.labels import NUM_CLASSES

Backbone = Literal["ResNet-50", "ResNet-101"]
DEPTHS: dict[Backbone, Depth] = {"ResNet-50": 50, "ResNet-101": 101}
DILATIONS = (12, 24, 36)
"""Distances, in pixels of the features, of what the pyramid's 3x3 convolutions see."""


@dataclass(frozen=True, kw_only=True)
class DeepLabV3(Architecture):
    """DeepLabV3 on a ResNet: of 42 million parameters on ResNet-50, of 61 million on ResNet-101."""

    backbone: Backbone = hyperparameter("ResNet-101")
    """The network that features are taken from."""
    width: float = hyperparameter(1.0, at_least=1 / 64)
    """Factor on every channel count but the number of classes; 1 is the published network."""
    pretrained: bool = hyperparameter(False, choices=(False, True))
    """Whether the backbone starts from ImageNet weights, which exist for width 1 alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        imagenet.check_width(self, self.width, self.pretrained)

    def build(self) -> Network:
        return DeepLab(DEPTHS[self.backbone], width=self.width, pretrained=self.pretrained)

    def bare(self) -> "DeepLabV3":
        return replace(self, pretrained=False)

    def smoke(self) -> "DeepLabV3":
        return DeepLabV3(backbone="ResNet-50", width=0.125)


class DeepLab(Network):
    """The network of `DeepLabV3`; it normalises images, RGB in [0, 255], itself.

    In training mode a batch needs at least two images: the mean of an image, one pixel, is normalised over the batch.
    """

    def __init__(
        self, depth: Depth = 101, num_classes: int = NUM_CLASSES, width: float = 1.0, pretrained: bool = False
    ) -> None:
        super().__init__()
        channels = scaled(256, width)
        self.resnet = ResNet(depth, width, dilated=True)
        third, fourth = self.resnet.channels
        self.pyramid = AtrousPyramid(fourth, channels)
        self.mix = _layer(channels, channels, 3)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        self.auxiliary_classifier = nn.Sequential(
            _layer(third, channels, 3), nn.Dropout(0.1), nn.Conv2d(channels, num_classes, 1)
        )
        self.normalise = imagenet.Normalisation()
        if pretrained:
            load_imagenet_weights(self.resnet)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], domain: Domain = "target", auxiliary: bool = False
    ) -> Prediction:
        """Predict logits at 1/8 of the images; `auxiliary` adds those from the stage before the last."""
        third, fourth = self.resnet(self.normalise(images))
        features = self.mix(self.pyramid(fourth))
        return Prediction(self.classifier(features), (self.auxiliary_classifier(third),) if auxiliary else (), features)

    def backbone(self) -> nn.Module:
        """The dilated ResNet."""
        return self.resnet


class AtrousPyramid(nn.Module):
    """What is at each place, around it at three distances, and in all of the image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            [_layer(inputs, outputs, 1), *(_layer(inputs, outputs, 3, dilation) for dilation in DILATIONS)]
        )
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), _layer(inputs, outputs, 1))
        self.project = nn.Sequential(_layer((len(self.levels) + 1) * outputs, outputs, 1), nn.Dropout(0.5))

    def forward(self, x: Float[Tensor, "batch inputs rows columns"]) -> Float[Tensor, "batch outputs rows columns"]:
        """Mix all levels of the pyramid."""
        whole = self.whole(x).expand(-1, -1, *x.shape[-2:])
        y: Tensor = self.project(torch.cat([*(level(x) for level in self.levels), whole], dim=1))
        return y


def _layer(inputs: int, outputs: int, side: int, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps the size, batch norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, side, padding=dilation * (side // 2), dilation=dilation, bias=False)
    return nn.Sequential(convolution, BatchNorm2d(outputs), nn.ReLU(inplace=True))
