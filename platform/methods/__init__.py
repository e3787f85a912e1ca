"""The methods of adaptation, each a frozen dataclass of its hyperparameters, in a folder by family."""

from platform.methods.adversarial import Adversarial
from platform.methods.batch import Labelled, Unlabelled, UnlabelledImages
from platform.methods.bounds import SourceOnly, TargetSupervised
from platform.methods.method import SEGMENTATION, Integer, Method, Player
from platform.methods.step import Step, cross_entropy
from platform.methods.translation import FDA
from platform.networks.hyperparameters import hyperparameter

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
    "UnlabelledImages",
    "cross_entropy",
    "hyperparameter",
]
