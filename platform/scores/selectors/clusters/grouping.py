"""Clusters of features, and the table that lays them beside predicted classes."""

import weakref

import numpy as np
from jaxtyping import Float, Float32, Int64

from platform.scores.evidence import Evidence
from platform.shifts.labels import NUM_CLASSES, VOID
from platform.shifts.randomness import generator

STARTS, ITERATIONS = 2, 20
"""How often k-means begins, of which the tightest clusters count; and after how many steps they hardly move."""


def clustered(points: Float32[np.ndarray, "samples features"], clusters: int) -> Int64[np.ndarray, " samples"]:
    """The cluster of each point, by k-means from k-means++'s beginnings (Arthur and Vassilvitskii, SODA 2007)."""
    random = generator("k-means", clusters)
    found = [_clustered(points, clusters, random) for _ in range(STARTS)]
    return min(found, key=lambda each: each[1])[0]


def _clustered(
    points: Float32[np.ndarray, "samples features"], clusters: int, random: np.random.Generator
) -> tuple[Int64[np.ndarray, " samples"], float]:
    """Clusters from one beginning, and the sum of the points' squared distances to their centres."""
    centres = points[random.integers(len(points), size=1)]
    nearest = np.full(len(points), np.inf)
    while len(centres) < clusters:
        nearest = np.minimum(nearest, squared_distances(points, centres[-1:])[:, 0])
        total = nearest.sum()
        chosen = random.choice(len(points), p=nearest / total) if total > 0 else 0
        centres = np.concatenate([centres, points[chosen : chosen + 1]])
    cluster = np.zeros(len(points), np.int64)
    for _ in range(ITERATIONS):
        distances = squared_distances(points, centres)
        moved = distances.argmin(axis=1)
        if np.array_equal(moved, cluster):
            break
        cluster = moved
        members = np.bincount(cluster, minlength=clusters)
        sums = np.eye(clusters, dtype=points.dtype)[cluster].T @ points
        # A cluster that has lost its last point stays where it was.
        centres = np.where(members[:, None] > 0, sums / np.maximum(members, 1)[:, None], centres).astype(points.dtype)
    return cluster, float(distances.min(axis=1).sum())


_tables: "weakref.WeakKeyDictionary[Evidence, Int64[np.ndarray, '_ _']]" = weakref.WeakKeyDictionary()
"""What two selectors need of the same evidence."""


def contingency(evidence: Evidence) -> Int64[np.ndarray, "_ _"]:
    """How many samples of both domains each (cluster of features, class) has: labels on the source, else predictions.

    Features have length 1, and there are as many clusters as the source's labels show classes.
    """
    if (known := _tables.get(evidence)) is not None:
        return known
    labelled = evidence.source_labels != VOID
    features = np.concatenate([evidence.source.features[labelled], evidence.target.features]).astype(np.float32)
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    classes = np.concatenate([evidence.source_labels[labelled], evidence.target.logits.argmax(axis=1)])
    clusters = max(int((evidence.source_prior > 0).sum()), 2)
    cells = clustered(features, clusters) * NUM_CLASSES + classes.astype(np.int64)
    table: np.ndarray = np.bincount(cells, minlength=clusters * NUM_CLASSES).reshape(clusters, NUM_CLASSES)
    _tables[evidence] = table
    return table


def entropy_of(counts: Int64[np.ndarray, " clusters"]) -> float:
    """The entropy, in nats, of a distribution that is given by counts."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def squared_distances(
    these: Float[np.ndarray, "samples features"], those: Float[np.ndarray, "_ features"]
) -> Float[np.ndarray, "samples _"]:
    """|a - b|^2 of each of these points and each of those, at least 0."""
    distances: np.ndarray = (these**2).sum(axis=1)[:, None] - 2 * these @ those.T + (those**2).sum(axis=1)
    distances.clip(min=0.0, out=distances)
    return distances
