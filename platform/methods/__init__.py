"""The methods of adaptation, each a frozen dataclass of its hyperparameters, in a folder by family."""

from platform.methods.adversarial import Adversarial
from platform.methods.batch import Labelled, Unlabelled
from platform.methods.bounds import SourceOnly, TargetSupervised
from platform.methods.hyperparameters import hyperparameter
from platform.methods.method import SEGMENTATION, Integer, Method, Player, Step, cross_entropy
from platform.methods.translation import FDA

__all__ = [
    "Adversarial",
    "FDA",
    "Integer",
    "Labelled",
    "Method",
    "Player",
    "SEGMENTATION",
    "SourceOnly",
    "Step",
    "TargetSupervised",
    "Unlabelled",
    "cross_entropy",
    "hyperparameter",
]
