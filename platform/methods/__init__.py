"""The methods of adaptation, each a frozen dataclass of its hyperparameters, in a folder by family."""

from platform.methods.adversarial import DANN, AdvEnt, Adversarial, ClassConditionalAdversarial, MultiLevelAdversarial
from platform.methods.batch import Labelled, Unlabelled, UnlabelledImages
from platform.methods.bounds import SourceOnly, TargetSupervised
from platform.methods.committee import MajorityVote
from platform.methods.discrepancy import CORAL, MMD, AdaBN, BatchNormMoments
from platform.methods.method import SEGMENTATION, Integer, Method, Player
from platform.methods.self_training import (
    CBST,
    DACS,
    Distillation,
    MaxSquare,
    MinEnt,
    MultiBandTransfer,
    PseudoLabels,
    RareClassSampling,
)
from platform.methods.step import Step
from platform.methods.translation import FDA, HistogramMatching, LabTransfer, TranslatedImages
from platform.methods.upsampled_loss import cross_entropy
from platform.networks.hyperparameters import hyperparameter

__all__ = [
    "CBST",
    "CORAL",
    "DACS",
    "DANN",
    "FDA",
    "MMD",
    "SEGMENTATION",
    "AdaBN",
    "AdvEnt",
    "Adversarial",
    "HistogramMatching",
    "BatchNormMoments",
    "ClassConditionalAdversarial",
    "Distillation",
    "Integer",
    "LabTransfer",
    "Labelled",
    "MajorityVote",
    "MaxSquare",
    "Method",
    "MinEnt",
    "MultiBandTransfer",
    "MultiLevelAdversarial",
    "Player",
    "PseudoLabels",
    "RareClassSampling",
    "SourceOnly",
    "Step",
    "TargetSupervised",
    "TranslatedImages",
    "Unlabelled",
    "UnlabelledImages",
    "cross_entropy",
    "hyperparameter",
]
