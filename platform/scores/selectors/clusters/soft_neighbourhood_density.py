"""Selection by how many neighbours the target's predictions have."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from platform.scores.evidence import Evidence
from platform.scores.selectors.selector import Selector

SAMPLES = 512
"""The cost grows by their square."""


@dataclass(frozen=True, kw_only=True)
class SoftNeighbourhoodDensity(Selector):
    """Mean entropy of the rows of softmax(F F^T / T), the diagonal left out; F are normalised probabilities.

    Saito et al., ICCV 2021, arXiv:2108.10860, T = 0.05. Departures from their code for segmentation: samples of all
    images together instead of 100 of each, and the diagonal is left out, as in their code for classification. Cost: 512
    x 512 exponentials. Known failure: one dense cluster scores best, and so does a network that predicts one class;
    in a benchmark of classification, what it selects is the least accurate (Ericsson et al., AutoML 2023,
    arXiv:2309.03879: weighted Spearman -0.15).
    """

    name: ClassVar[str] = "target/snd"
    temperature: float = 0.05

    def score(self, evidence: Evidence) -> float:
        p = evidence.target.probabilities
        p = p[:: max(1, len(p) // SAMPLES)][:SAMPLES]
        normalised = p / np.linalg.norm(p, axis=1, keepdims=True)
        similarity = normalised @ normalised.T / self.temperature
        np.fill_diagonal(similarity, -np.inf)
        similarity -= similarity.max(axis=1, keepdims=True)
        weights = np.exp(similarity)
        total = weights.sum(axis=1)
        np.fill_diagonal(similarity, 0.0)
        # H = log sum exp(s) - sum exp(s) s / sum exp(s), in which the diagonal counts 0 times.
        return float((np.log(total) - (weights * similarity).sum(axis=1) / total).mean())
