"""Selectors by predictions that stay, from lists of places."""

import numpy as np
import pytest

from platform.scores.selectors.consistency import ConsistencyTransferability, MixVal, ViewConsistency
from platform.scores.selectors.consistency.agreement import pseudo_miou, share_equal
from tests.support.made_evidence import evidence, mixture, pairs

RANDOM = np.random.default_rng(0)
BEFORE = RANDOM.choice([0, 2, 5, 13], 200)
AFTER = np.where(RANDOM.random(200) < 0.7, BEFORE, RANDOM.choice([0, 2, 5, 8], 200))
OTHER = np.where(RANDOM.random(200) < 0.4, BEFORE, RANDOM.choice([0, 10], 200))


def by_sets(first: np.ndarray, second: np.ndarray) -> float:
    """mIoU of two predictions of the same places, from sets of places."""
    shares = []
    for each in {*first.tolist(), *second.tolist()}:
        one, other = ({place for place, seen in enumerate(seen_at) if seen == each} for seen_at in (first, second))
        shares.append(len(one & other) / len(one | other))
    return sum(shares) / len(shares)


def test_agreement_of_two_predictions_is_that_of_sets_of_places() -> None:
    assert pseudo_miou(pairs(BEFORE, AFTER).counts) == pytest.approx(by_sets(BEFORE, AFTER), rel=1e-12)
    assert share_equal(pairs(BEFORE, AFTER).counts) == (BEFORE == AFTER).sum() / 200


def test_agreement_does_not_tell_one_prediction_from_the_other() -> None:
    first, second = pairs(BEFORE, AFTER).counts, pairs(AFTER, BEFORE).counts
    assert pseudo_miou(first) == pytest.approx(pseudo_miou(second), rel=1e-12)


def test_of_no_place_nothing_agrees() -> None:
    nothing = np.zeros((19, 19), np.int32)
    assert pseudo_miou(nothing) == share_equal(nothing) == 0


def test_view_consistency_is_the_mean_over_mirror_images_and_middles() -> None:
    made = evidence(flipped=pairs(BEFORE, AFTER), zoomed=pairs(OTHER, AFTER), disturbed=pairs([1], [2]))
    expected = (by_sets(BEFORE, AFTER) + by_sets(OTHER, AFTER)) / 2
    assert ViewConsistency().score(made) == pytest.approx(expected, rel=1e-12)


def test_cte_is_the_share_of_places_that_noise_leaves() -> None:
    made = evidence(disturbed=pairs(BEFORE, AFTER), flipped=pairs([1], [2]))
    distance = sum(one != other for one, other in zip(BEFORE, AFTER, strict=True)) / 200
    assert ConsistencyTransferability().score(made) == pytest.approx(1 - distance, rel=1e-12)


def test_mixval_is_the_mean_of_two_shares_of_places() -> None:
    seen = np.where(RANDOM.random(200) < 0.6, BEFORE, RANDOM.choice([0, 2, 10], 200))
    alike = [place for place in range(200) if BEFORE[place] == OTHER[place]]
    unlike = [place for place in range(200) if BEFORE[place] != OTHER[place]]
    within = sum(seen[place] == BEFORE[place] for place in alike) / len(alike)
    between = sum(seen[place] == BEFORE[place] for place in unlike) / len(unlike)
    assert 0 < between < within < 1
    made = evidence(mixed=mixture(BEFORE, OTHER, seen))
    assert MixVal().score(made) == pytest.approx((within + between) / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("stronger", "weaker", "mixed", "expected"),
    [
        ([0, 1, 2], [2, 0, 1], [0, 1, 2], 0.5),  # no two are of one class
        ([0, 1, 2], [2, 0, 1], [2, 0, 1], 0.0),
        ([0, 1], [0, 1], [0, 1], 0.5),  # all are
        ([0, 1, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1], 1.0),
        ([4] * 3, [4] * 3, [4] * 3, 0.5),
    ],
)
def test_mixval_has_no_half_without_places_of_its_kind(
    stronger: list[int], weaker: list[int], mixed: list[int], expected: float
) -> None:
    assert MixVal().score(evidence(mixed=mixture(stronger, weaker, mixed))) == expected


def test_a_constant_prediction_is_as_consistent_as_can_be() -> None:
    constant = pairs([3] * 50, [3] * 50)
    made = evidence(flipped=constant, zoomed=constant, disturbed=constant)
    assert ViewConsistency().score(made) == ConsistencyTransferability().score(made) == 1


def test_a_rare_class_weighs_as_much_as_a_frequent_one_in_views_and_little_in_noise() -> None:
    """One rare place that is lost: half of the mIoU, and a hundredth of the places."""
    lost = pairs([0] * 99 + [1], [0] * 100)
    made = evidence(flipped=lost, zoomed=lost, disturbed=lost)
    assert ViewConsistency().score(made) == pytest.approx(0.99 / 2, rel=1e-12)
    assert ConsistencyTransferability().score(made) == pytest.approx(0.99, rel=1e-12)
