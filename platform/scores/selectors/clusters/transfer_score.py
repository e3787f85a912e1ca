"""Selection by three signs of transfer: the classifier's, the features', the predictions'."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from platform.scores.evidence import Evidence
from platform.scores.selectors.clusters.grouping import squared_distances
from platform.scores.selectors.dispersity.information_maximisation import InformationMaximisation
from platform.scores.selectors.selector import Selector
from platform.shifts.randomness import generator

DRAWN = 128
"""Points whose nearest neighbours the Hopkins statistic looks for."""


@dataclass(frozen=True, kw_only=True)
class TransferScore(Selector):
    """-U + Hopkins + I / log C: uniformity of the class vectors, clustering of the features, mutual information.

    U is the mean of (angle(w_i, w_j) - arccos(-1 / (C - 1)))^2 over pairs of the classifier's vectors, 0 where they are
    as far apart as can be. Yang et al., ICLR 2024, arXiv:2305.18712. Departures: the vectors are those of the linear
    map from features to logits that fits the samples, since evidence holds no weights: exact for a classifier that is
    linear in no more than 32 channels; the information is that of all places, and not the mean of batches'. U is over
    all 19 outputs, also those of classes that a shift does not have. Cost: a least-squares problem, and 128 searches
    for neighbours. Known failure: two of its three parts hardly tell trials of one network apart.
    """

    name: ClassVar[str] = "target/transfer_score"

    def score(self, evidence: Evidence) -> float:
        features = evidence.target.features.astype(np.float64)
        vectors = class_vectors(features, evidence.target.logits.astype(np.float64))
        return InformationMaximisation().score(evidence) + hopkins(features) - uniformity(vectors)


def class_vectors(
    features: Float64[np.ndarray, "samples features"], logits: Float64[np.ndarray, "samples classes"]
) -> Float64[np.ndarray, "classes features"]:
    """W of the least-squares fit of logits by W f + b."""
    design = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    solution: np.ndarray = np.linalg.lstsq(design, logits, rcond=None)[0]
    return solution[:-1].T


def uniformity(vectors: Float64[np.ndarray, "classes features"]) -> float:
    """Mean of (angle(w_i, w_j) - arccos(-1 / (C - 1)))^2 over pairs, angles in radians."""
    number = len(vectors)
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = (directions @ directions.T)[~np.eye(number, dtype=bool)]
    angles = np.arccos(np.clip(cosines, -1.0, 1.0))
    return float(np.mean((angles - np.arccos(-1 / (number - 1))) ** 2))


def hopkins(points: Float64[np.ndarray, "samples features"]) -> float:
    """sum u / (sum u + sum w), u and w distances to the nearest point, of uniform draws and of points: 1/2 for noise.

    Draws are uniform in the box that the points fill. Hopkins and Skellam, Annals of Botany 1954.
    """
    random = generator("Hopkins", len(points))
    chosen = random.permutation(len(points))[:DRAWN]
    uniform = random.uniform(points.min(axis=0), points.max(axis=0), (len(chosen), points.shape[1]))
    own = squared_distances(points[chosen], points)
    own[np.arange(len(chosen)), chosen] = np.inf
    there = np.sqrt(squared_distances(uniform, points).min(axis=1)).sum()
    here = np.sqrt(own.min(axis=1)).sum()
    return float(there / (there + here)) if there + here > 0 else 0.5
