"""Selectors that judge a trial by the others."""

from platform.scores.selectors.population.committee import Committee
from platform.scores.selectors.population.ensv import EnsV
from platform.scores.selectors.population.gated_ranks import GatedRanks

__all__ = ["Committee", "EnsV", "GatedRanks"]
