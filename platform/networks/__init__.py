"""What is trained, and what it costs."""

from platform.networks.architectures import LRASPP, BiSeNet18, BiSeNet101, DeepLabV3, PIDNetSmall
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Architecture, Network, NoWeights, Prediction, feature_channels
from platform.networks.operations.upsampling import upsample

__all__ = [
    "LRASPP",
    "Architecture",
    "BiSeNet18",
    "BiSeNet101",
    "DeepLabV3",
    "Network",
    "NoWeights",
    "PIDNetSmall",
    "Prediction",
    "feature_channels",
    "hyperparameter",
    "upsample",
]
