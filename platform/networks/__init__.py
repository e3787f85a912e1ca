"""What is trained, and what it costs."""

from platform.networks.architectures import LRASPP, BiSeNet18
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Architecture, Network, NoWeights, Prediction, feature_channels
from platform.networks.operations.upsampling import upsample

__all__ = [
    "LRASPP",
    "Architecture",
    "BiSeNet18",
    "Network",
    "NoWeights",
    "Prediction",
    "feature_channels",
    "hyperparameter",
    "upsample",
]
