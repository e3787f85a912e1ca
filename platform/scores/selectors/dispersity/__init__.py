"""Selectors by how sure predictions are, and how different from each other."""

from platform.scores.selectors.dispersity.information_maximisation import InformationMaximisation
from platform.scores.selectors.dispersity.norm_and_prior import NormAndPrior
from platform.scores.selectors.dispersity.nuclear_norm import NuclearNorm
from platform.scores.selectors.dispersity.prior_divergence import PriorDivergence

__all__ = ["InformationMaximisation", "NormAndPrior", "NuclearNorm", "PriorDivergence"]
