"""BiSeNet on ResNet-18, as the original study built it.

Source: Yu, Wang, Peng, Gao, Yu, Sang, "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation",
ECCV 2018, arXiv 1808.00897; ResNet-18: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
arXiv 1512.03385.

Departure of the original study from the paper, kept: the fusion and the classifiers work in as many channels as there
are classes.

Departures from the original study, none of which changes a function it could compute: every 1x1 classifier runs before
the bilinear upsampling, not after it (both are linear and the weights of an interpolation sum to one, so they commute);
ResNet's unused ImageNet classifier is left out; features are upsampled to a size, not by a factor, so that images need
not be divisible by 32. One changes the function on purpose: images are normalised as the ImageNet weights expect.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from platform.networks import imagenet
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
class BiSeNet18(Architecture):
    """BiSeNet on ResNet-18."""

    width: float = hyperparameter(1.0, at_least=1 / 64)
    """Factor on every channel count but those that equal the number of classes; 1 is the published network."""
    pretrained: bool = hyperparameter(False, choices=(False, True))
    """Whether the context path starts from ImageNet weights, which exist for width 1 alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pretrained and self.width != 1:
            raise ValueError(
                f"BiSeNet18.pretrained must be False unless width is 1, got width={self.width!r}; "
                "ImageNet weights exist for the published width only"
            )

    def build(self) -> Network:
        return BiSeNet(width=self.width, pretrained=self.pretrained)

    def bare(self) -> "BiSeNet18":
        return BiSeNet18(width=self.width)

    def smoke(self) -> "BiSeNet18":
        return BiSeNet18(width=0.125)


class BiSeNet(Network):
    """Real-time segmentation by a shallow spatial path beside a deep context path.

    Images are RGB in [0, 255]; the network normalises them itself, so that nothing which belongs before normalisation
    can be done after it. In training mode a batch needs at least two images: the attention normalises maps of one pixel
    over the batch.

    `width` scales every channel count but those that equal the number of classes; `pretrained` starts the context path
    from ImageNet. Raises ValueError for a width that leaves no channel, and for pretrained weights that do not exist
    for the width; NoWeights for those that cannot be had.
    """

    def __init__(self, num_classes: int = NUM_CLASSES, width: float = 1.0, pretrained: bool = False) -> None:
        super().__init__()
        if not 1 / 64 <= width < math.inf:
            raise ValueError(f"BiSeNet's width must be at least 1/64, which leaves one channel, got {width!r}")
        if pretrained and width != 1:
            raise ValueError(f"ImageNet weights exist for width 1 only, got {width!r}: set width=1 or pretrained=False")
        eighth, sixteenth, thirty_second = (_scaled(channels, width) for channels in (256, 256, 512))
        self.spatial_path = nn.Sequential(
            ConvolutionBlock(3, _scaled(64, width), stride=2),
            ConvolutionBlock(_scaled(64, width), _scaled(128, width), stride=2),
            ConvolutionBlock(_scaled(128, width), eighth, stride=2),
        )
        self.context_path = ContextPath(width)
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
        sixteenth, thirty_second, tail = self.context_path(normalised)
        refine_sixteenth, refine_thirty_second = self.refinements
        sixteenth = refine_sixteenth(sixteenth)
        thirty_second = refine_thirty_second(thirty_second) * tail
        size = _size(spatial)
        fused = self.fusion(torch.cat([spatial, upsample(sixteenth, size), upsample(thirty_second, size)], dim=1))
        return Features(fused, (sixteenth, thirty_second))

    def pretrained_part(self) -> nn.Module:
        return self.context_path

    def published(self) -> nn.Module:
        """The network with its final classifier after the upsampling, and with ResNet-18's unused classifier."""
        return PublishedOrder(self)


class PublishedOrder(nn.Module):
    """BiSeNet as published: the final 1x1 convolution after the upsampling, on 64 times the pixels."""

    def __init__(self, network: BiSeNet) -> None:
        super().__init__()
        self.network = network
        self.unused = nn.Linear(network.context_path.channels, IMAGENET_CLASSES)

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


class ContextPath(nn.Module):
    """ResNet-18 up to its last block; parameters are named as torchvision names them, so that its weights fit."""

    def __init__(self, width: float) -> None:
        super().__init__()
        quarter, eighth, sixteenth, thirty_second = (_scaled(channels, width) for channels in (64, 128, 256, 512))
        self.conv1 = nn.Conv2d(3, quarter, 7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm2d(quarter)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _residual_stage(quarter, quarter, stride=1)
        self.layer2 = _residual_stage(quarter, eighth, stride=2)
        self.layer3 = _residual_stage(eighth, sixteenth, stride=2)
        self.layer4 = _residual_stage(sixteenth, thirty_second, stride=2)
        self.channels = thirty_second
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[
        Float[Tensor, "batch _ -(-height//16) -(-width//16)"],
        Float[Tensor, "batch channels -(-height//32) -(-width//32)"],
        Float[Tensor, "batch channels 1 1"],
    ]:
        """Compute features at 1/16 and at 1/32 of the images, rounded up, and the mean of the latter."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        sixteenth = self.layer3(self.layer2(self.layer1(x)))
        thirty_second = self.layer4(sixteenth)
        return sixteenth, thirty_second, thirty_second.mean((2, 3), keepdim=True)


class BasicBlock(nn.Module):
    """ReLU(shortcut(x) + BN(conv3x3(ReLU(BN(conv3x3(x)))))), the residual block of ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(outputs)
        # Of a strided 1x1 convolution of fewer than 8 channels oneDNN has, on CPUs without AVX-512, a wrong gradient or
        # none, or ends the process (its issue 6035). Of every other pixel it is the same, but for the last bits.
        self.every = stride if inputs < 8 else 1
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride=stride // self.every, bias=False)
            self.downsample = nn.Sequential(projection, BatchNorm2d(outputs))

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """Add the residual to the shortcut at 1 / stride of the resolution, rounded up."""
        kept = x[..., :: self.every, :: self.every]
        shortcut = kept if self.downsample is None else self.downsample(kept)
        residual = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y: Tensor = self.relu(residual + shortcut)
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


def load_imagenet_weights(context_path: ContextPath) -> None:
    """Load torchvision's ImageNet weights of ResNet-18. Raises NoWeights."""
    # Imported here because torchvision takes a second and a half, which plans and workers need not wait for.
    from torchvision.models.resnet import ResNet18_Weights

    def take(state: Mapping[str, Tensor]) -> None:
        context_path.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})

    imagenet.load(ResNet18_Weights.IMAGENET1K_V1, "ResNet-18", take)


def _residual_stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


def _scaled(channels: int, width: float) -> int:
    return round(channels * width)


def _size(x: Float[Tensor, "batch channels rows columns"]) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]
