"""Selectors, which stop and pick trials: without target labels, each a file; and by them, as `oracle/`."""

from platform.scores.selectors.clusters import (
    AdjustedMutualInformation,
    SoftNeighbourhoodDensity,
    TransferScore,
    VMeasure,
)
from platform.scores.selectors.confidence import Entropy, MaxSquare, MetaDistributionEnergy
from platform.scores.selectors.consistency import ConsistencyTransferability, MixVal, ViewConsistency
from platform.scores.selectors.dispersity import InformationMaximisation, NormAndPrior, NuclearNorm, PriorDivergence
from platform.scores.selectors.population import Committee, EnsV, GatedRanks
from platform.scores.selectors.risk import DeepEmbeddedValidation
from platform.scores.selectors.selector import Selector
from platform.scores.selectors.source import SourceAccuracy, SourceMIoU

SHELF: tuple[Selector, ...] = (
    SourceMIoU(),
    SourceAccuracy(),
    Entropy(),
    MaxSquare(),
    MetaDistributionEnergy(),
    InformationMaximisation(),
    NuclearNorm(),
    PriorDivergence(),
    NormAndPrior(),
    SoftNeighbourhoodDensity(),
    VMeasure(),
    AdjustedMutualInformation(),
    TransferScore(),
    DeepEmbeddedValidation(),
    ViewConsistency(),
    ConsistencyTransferability(),
    MixVal(),
    Committee(),
    EnsV(),
    GatedRanks(),
)
"""All selectors that need no target label."""

__all__ = [
    "SHELF",
    "Selector",
    "SourceMIoU",
    "SourceAccuracy",
    "Entropy",
    "MaxSquare",
    "MetaDistributionEnergy",
    "InformationMaximisation",
    "NuclearNorm",
    "PriorDivergence",
    "NormAndPrior",
    "SoftNeighbourhoodDensity",
    "VMeasure",
    "AdjustedMutualInformation",
    "TransferScore",
    "DeepEmbeddedValidation",
    "ViewConsistency",
    "ConsistencyTransferability",
    "MixVal",
    "Committee",
    "EnsV",
    "GatedRanks",
]
