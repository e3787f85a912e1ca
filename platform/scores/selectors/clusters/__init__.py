"""Selectors by the clusters that features or predictions form."""

from platform.scores.selectors.clusters.adjusted_mutual_information import AdjustedMutualInformation
from platform.scores.selectors.clusters.soft_neighbourhood_density import SoftNeighbourhoodDensity
from platform.scores.selectors.clusters.transfer_score import TransferScore
from platform.scores.selectors.clusters.v_measure import VMeasure

__all__ = ["AdjustedMutualInformation", "SoftNeighbourhoodDensity", "TransferScore", "VMeasure"]
