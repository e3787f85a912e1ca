"""Selectors by how sure predictions are."""

from platform.scores.selectors.confidence.entropy import Entropy
from platform.scores.selectors.confidence.max_square import MaxSquare
from platform.scores.selectors.confidence.mde import MetaDistributionEnergy

__all__ = ["Entropy", "MaxSquare", "MetaDistributionEnergy"]
