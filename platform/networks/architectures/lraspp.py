"""LR-ASPP on MobileNetV3-Large (Howard et al., ICCV 2019, arXiv 1905.02244), as torchvision builds it.

Features at 1/8 of the image, and at 1/16 after a squeeze-and-excite attention, go to classes by a 1x1 convolution each,
and add up. torchvision's own departures: dilation keeps 1/16 where the backbone would go to 1/32, and the attention
pools over the whole image (published: windows of 49 x 49 with stride 16 x 20).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from platform.networks import imagenet
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Architecture, Domain, Network, Prediction
from platform.networks.operations.norm import without_count
from platform.networks.operations.upsampling import upsample
from platform.shifts.labels import NUM_CLASSES


@dataclass(frozen=True, kw_only=True)
class LRASPP(Architecture):
    """LR-ASPP on MobileNetV3-Large: 3.2 million parameters, without auxiliary classifiers."""

    pretrained: bool = hyperparameter(False, choices=(False, True))
    """Whether the backbone starts from ImageNet weights."""

    def build(self) -> Network:
        return LRASPPNetwork(pretrained=self.pretrained)

    def bare(self) -> "LRASPP":
        return LRASPP()


class LRASPPNetwork(Network):
    """The network of `LRASPP`; it normalises images, RGB in [0, 255], itself."""

    def __init__(self, num_classes: int = NUM_CLASSES, pretrained: bool = False) -> None:
        super().__init__()
        # Imported here because torchvision takes a second and a half, which plans and workers need not wait for.
        from torchvision.models.mobilenetv3 import MobileNet_V3_Large_Weights
        from torchvision.models.segmentation import lraspp_mobilenet_v3_large

        self.model: Any = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=num_classes)
        without_count(self.model)
        self.normalise = imagenet.Normalisation()
        if pretrained:
            imagenet.load(MobileNet_V3_Large_Weights.IMAGENET1K_V1, "MobileNetV3-Large", self._load_backbone)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], domain: Domain = "target", auxiliary: bool = False
    ) -> Prediction:
        """Predict logits at 1/8 of the images; there is no auxiliary classifier."""
        stages = self.model.backbone(self.normalise(images))
        low, high, head = stages["low"], stages["high"], self.model.classifier
        attended = upsample(head.cbr(high) * head.scale(high), low.shape[-2:])
        logits = head.low_classifier(low) + head.high_classifier(attended)
        return Prediction(logits, (), torch.cat([low, attended], dim=1))

    def backbone(self) -> nn.Module:
        """MobileNetV3-Large."""
        backbone: nn.Module = self.model.backbone
        return backbone

    def _load_backbone(self, state: Mapping[str, Tensor]) -> None:
        features = {name.removeprefix("features."): value for name, value in state.items() if "features." in name}
        self.backbone().load_state_dict(features)
