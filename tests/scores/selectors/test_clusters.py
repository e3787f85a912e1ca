"""Selectors by clusters: textbook definitions by loops, and chance by enumeration."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from platform.scores.evidence import Evidence
from platform.scores.metrics import confusion
from platform.scores.selectors.clusters import (
    AdjustedMutualInformation,
    SoftNeighbourhoodDensity,
    TransferScore,
    VMeasure,
)
from platform.scores.selectors.clusters.adjusted_mutual_information import expected_information
from platform.scores.selectors.clusters.grouping import clustered, contingency, entropy_of
from platform.scores.selectors.clusters.transfer_score import class_vectors, hopkins, uniformity
from platform.scores.selectors.dispersity.information_maximisation import InformationMaximisation
from platform.shifts.labels import VOID
from platform.shifts.randomness import generator
from tests.support.made_evidence import evidence, one_hot, random_logits, sampled

CORNERS = np.eye(6)


def clear(
    labels: Sequence[int], corners: Sequence[int], target_corners: Sequence[int], predicted: Sequence[int]
) -> Evidence:
    """Features that lie in corners, of which none is near another: whose clusters are plain to see."""
    return evidence(
        source=sampled(one_hot([0] * len(labels)), 3 * CORNERS[list(corners)]),
        target=sampled(one_hot(predicted), 2 * CORNERS[list(target_corners)]),
        source_labels=labels,
        source_confusion=confusion(np.zeros(len(labels), np.uint8), np.array(labels, np.uint8)),
    )


LABELS = [0, 0, 0, 5, 5, 8, VOID, 8, 0]
SOURCE_CORNERS = [0, 0, 1, 1, 1, 2, 2, 2, 0]
PREDICTED = [0, 0, 5, 5, 13, 8, 8, 0, 0, 5]
TARGET_CORNERS = [0, 0, 0, 1, 1, 2, 2, 2, 0, 1]
CLEAR = clear(LABELS, SOURCE_CORNERS, TARGET_CORNERS, PREDICTED)
CLASSES = [label for label in LABELS if label != VOID] + PREDICTED
CLUSTERS = [
    corner for corner, label in zip(SOURCE_CORNERS, LABELS, strict=True) if label != VOID
] + TARGET_CORNERS  # fmt: skip


def entropy(values: Sequence[int]) -> float:
    return -sum(count / len(values) * math.log(count / len(values)) for count in Counter(values).values())


def conditional_entropy(values: Sequence[int], given: Sequence[int]) -> float:
    """H(values | given), the mean over the parts that `given` makes."""
    parts = [[value for value, of in zip(values, given, strict=True) if of == each] for each in {*given}]
    return sum(len(part) / len(values) * entropy(part) for part in parts)


# Clusters


@pytest.mark.parametrize(("number", "spread"), [(3, 0.1), (5, 0.3), (4, 0.8)])
def test_clusters_are_a_fixed_point_of_lloyd_s_algorithm(number: int, spread: float) -> None:
    random = np.random.default_rng(number)
    points = random.normal(0, 2, (number, 3))[random.integers(0, number, 90)] + random.normal(0, spread, (90, 3))
    cluster = clustered(points.astype(np.float32), number)
    means = {each: points[cluster == each].mean(axis=0) for each in set(cluster.tolist())}
    for point, of in zip(points, cluster.tolist(), strict=True):
        distances = {each: math.dist(point, mean) for each, mean in means.items()}
        assert min(distances, key=lambda each: distances[each]) == of


@pytest.mark.parametrize("seed", range(5))
def test_clusters_that_lie_apart_are_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    true = random.integers(0, 6, 120)
    cluster = clustered((10 * CORNERS[true] + random.normal(0, 0.01, (120, 6))).astype(np.float32), 6)
    assert len({*zip(true.tolist(), cluster.tolist(), strict=True)}) == 6
    assert len({*cluster.tolist()}) == 6


def test_more_clusters_than_points_leave_some_empty() -> None:
    cluster = clustered(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]], np.float32), 7)
    assert cluster[1] == cluster[2] != cluster[0]
    assert cluster.max() < 7


def test_points_that_are_all_the_same_are_one_cluster() -> None:
    assert len({*clustered(np.full((30, 4), 0.1, np.float32), 5).tolist()}) == 1


def test_source_labels_and_target_predictions_are_laid_beside_clusters_and_void_is_left_out() -> None:
    table = contingency(CLEAR)
    assert table.sum() == len(LABELS) - 1 + len(PREDICTED)
    found = sorted(tuple(row[row > 0].tolist()) for row in table)
    cells = Counter(zip(CLUSTERS, CLASSES, strict=True))
    expected = [[count for (cluster, _), count in sorted(cells.items()) if cluster == each] for each in range(3)]
    assert found == sorted(map(tuple, expected))


def test_the_length_of_features_does_not_matter() -> None:
    longer = clear(LABELS, SOURCE_CORNERS, TARGET_CORNERS, PREDICTED)
    longer.target.features[:] *= np.linspace(0.5, 9, len(PREDICTED))[:, None].astype(np.float16)
    np.testing.assert_array_equal(contingency(longer), contingency(CLEAR))


# Agreement of clusters and classes


def test_the_v_measure_is_the_harmonic_mean_of_homogeneity_and_completeness() -> None:
    homogeneity = 1 - conditional_entropy(CLASSES, CLUSTERS) / entropy(CLASSES)
    completeness = 1 - conditional_entropy(CLUSTERS, CLASSES) / entropy(CLUSTERS)
    assert 0.2 < homogeneity < 0.9
    expected = 2 * homogeneity * completeness / (homogeneity + completeness)
    assert VMeasure().score(CLEAR) == pytest.approx(expected, rel=1e-9)


def test_clusters_that_are_the_classes_score_1() -> None:
    made = clear([0, 5, 8, 8], [0, 1, 2, 2], [0, 0, 1, 2], [0, 0, 5, 8])
    assert VMeasure().score(made) == pytest.approx(1, rel=1e-12)
    assert AdjustedMutualInformation().score(made) == pytest.approx(1, rel=1e-12)


def test_clusters_that_tell_nothing_of_the_classes_score_0_or_by_chance_less() -> None:
    made = clear([0, 5, 0, 5], [0, 0, 1, 1], [0, 0, 1, 1], [0, 5, 0, 5])
    assert VMeasure().score(made) == pytest.approx(0, abs=1e-12)
    assert AdjustedMutualInformation().score(made) < 0


def test_the_entropy_of_counts_leaves_out_those_that_are_0() -> None:
    assert entropy_of(np.array([3, 0, 1])) == pytest.approx(entropy([0, 0, 0, 1]), rel=1e-12)


def information(first: Sequence[int], second: Sequence[int]) -> float:
    return entropy(first) - conditional_entropy(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 1, 2]),
        ([0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 1, 1]),
        ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
        ([0, 0, 0, 0], [0, 0, 1, 1]),
        ([0] * 6 + [1], [0] * 6 + [1]),
    ],
)
def test_information_by_chance_is_the_mean_over_all_orders(first: list[int], second: list[int]) -> None:
    every = [information(first, order) for order in itertools.permutations(second)]
    found = expected_information(np.bincount(first), np.bincount(second))
    assert found == pytest.approx(sum(every) / len(every), rel=1e-9, abs=1e-12)


def test_information_by_chance_of_as_many_samples_as_evidence_holds() -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(0, 19, 1536), random.choice([0, 0, 0, 1, 2, 3], 1536)
    some = [information(first.tolist(), random.permutation(second).tolist()) for _ in range(30)]
    found = expected_information(np.bincount(first), np.bincount(second))
    assert abs(found - np.mean(some)) < 4 * np.std(some) / math.sqrt(30)


def test_adjusted_mutual_information_takes_chance_out() -> None:
    labels, corners = [0, 5, 5], [0, 1, 0]
    predicted, target_corners = [0, 5, 0, 0], [0, 1, 1, 0]
    classes, clusters = labels + predicted, corners + target_corners
    chance = [information(classes, order) for order in itertools.permutations(clusters)]
    expected = sum(chance) / len(chance)
    mean = (entropy(classes) + entropy(clusters)) / 2
    found = AdjustedMutualInformation().score(clear(labels, corners, target_corners, predicted))
    assert found == pytest.approx((information(classes, clusters) - expected) / (mean - expected), rel=1e-9)


# Soft neighbourhood density


def by_neighbours(p: np.ndarray, temperature: float) -> float:
    """The mean entropy of the chances by which a place takes any other for its neighbour, loop by loop."""
    lengths = [math.sqrt(sum(value * value for value in row)) for row in p.tolist()]
    entropies = []
    for i in range(len(p)):
        weights = [
            math.exp(sum(a * b for a, b in zip(p[i], p[j], strict=True)) / lengths[i] / lengths[j] / temperature)
            for j in range(len(p))
            if j != i
        ]
        chances = [weight / sum(weights) for weight in weights]
        entropies.append(-sum(chance * math.log(chance) for chance in chances))
    return sum(entropies) / len(entropies)


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_soft_neighbourhood_density_is_the_mean_entropy_of_neighbours(temperature: float) -> None:
    target = sampled(random_logits(40, 6, scale=4.0))
    found = SoftNeighbourhoodDensity(temperature=temperature).score(evidence(target=target))
    assert found == pytest.approx(by_neighbours(target.probabilities.astype(np.float64), temperature), rel=1e-4)


def test_one_dense_cluster_has_the_largest_density_there_is() -> None:
    """A known failure."""
    one, two = (evidence(target=sampled(one_hot(classes, 20))) for classes in ([4] * 40, [4, 5] * 20))
    assert SoftNeighbourhoodDensity().score(one) == pytest.approx(math.log(39), rel=1e-5)
    assert SoftNeighbourhoodDensity().score(two) == pytest.approx(math.log(19), rel=1e-4)


def test_density_looks_at_samples_of_all_images() -> None:
    """Samples are in the order of their images: the first of them would be of some images alone."""
    many = [0] * 512 + [1, 2] * 256
    density = SoftNeighbourhoodDensity().score(evidence(target=sampled(one_hot(many, 20))))
    assert density < math.log(400)


# Transfer score


def test_class_vectors_are_those_of_a_linear_classifier() -> None:
    random = np.random.default_rng(0)
    weight, bias, features = random.normal(size=(19, 8)), random.normal(size=19), random.normal(size=(60, 8))
    logits = np.array([[sum(w * f for w, f in zip(weight[c], row, strict=True)) + bias[c] for c in range(19)]
                       for row in features])  # fmt: skip
    np.testing.assert_allclose(class_vectors(features, logits), weight, atol=1e-9)


def test_uniformity_is_the_mean_square_of_what_angles_lack() -> None:
    vectors = np.random.default_rng(1).normal(size=(5, 3))
    ideal = math.acos(-1 / 4)
    lacks = []
    for one, other in itertools.combinations(vectors.tolist(), 2):
        product = sum(a * b for a, b in zip(one, other, strict=True))
        lacks.append((math.acos(product / math.hypot(*one) / math.hypot(*other)) - ideal) ** 2)
    assert uniformity(vectors) == pytest.approx(sum(lacks) / len(lacks), rel=1e-9)


def test_vectors_as_far_apart_as_can_be_are_uniform() -> None:
    simplex = np.eye(19) - 1 / 19
    assert uniformity(7 * simplex) == pytest.approx(0, abs=1e-12)
    assert uniformity(np.ones((19, 2))) == pytest.approx(math.acos(-1 / 18) ** 2, rel=1e-6)


def by_nearest(points: np.ndarray) -> float:
    """The Hopkins statistic by loops, for the draws that are made for so many points."""
    random = generator("Hopkins", len(points))
    chosen = random.permutation(len(points))[:128]
    uniform = random.uniform(points.min(axis=0), points.max(axis=0), (len(chosen), points.shape[1]))
    there = sum(min(math.dist(draw, point) for point in points) for draw in uniform)
    here = sum(min(math.dist(points[i], points[j]) for j in range(len(points)) if j != i) for i in chosen)
    return there / (there + here)


@pytest.mark.parametrize("number", [20, 200])
def test_hopkins_compares_distances_to_the_nearest_point(number: int) -> None:
    points = np.random.default_rng(number).normal(size=(number, 3))
    assert hopkins(points) == pytest.approx(by_nearest(points), rel=1e-6)


def test_hopkins_tells_clusters_from_noise_and_from_a_grid() -> None:
    random = np.random.default_rng(0)
    clusters = 10 * CORNERS[random.integers(0, 6, 400)] + random.normal(0, 0.05, (400, 6))
    grid = np.array([*itertools.product(range(20), range(20))], np.float64)
    assert hopkins(clusters) > 0.95
    assert hopkins(random.uniform(0, 1, (1000, 2))) == pytest.approx(0.5, abs=0.06)
    assert hopkins(grid) < 0.35
    assert hopkins(np.ones((50, 3))) == 0.5


def test_the_transfer_score_is_the_sum_of_its_parts() -> None:
    target = sampled(random_logits(90, 8), np.random.default_rng(2).normal(size=(90, 8)))
    made = evidence(target=target)
    features, logits = target.features.astype(np.float64), target.logits.astype(np.float64)
    design = np.column_stack([features, np.ones(90)])
    vectors = np.linalg.solve(design.T @ design, design.T @ logits)[:8].T
    expected = InformationMaximisation().score(made) + by_nearest(features) - uniformity(vectors)
    assert TransferScore().score(made) == pytest.approx(expected, rel=1e-6)
