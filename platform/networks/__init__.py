"""The networks, and what they cost."""

from platform.networks.bisenet import BiSeNet18
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Architecture, Network, NoWeights, Prediction, upsample

__all__ = ["Architecture", "BiSeNet18", "Network", "NoWeights", "Prediction", "hyperparameter", "upsample"]
