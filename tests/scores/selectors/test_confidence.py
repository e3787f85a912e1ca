"""Selectors by how sure predictions are, place by place."""

import math

import numpy as np
import pytest
from scipy import special, stats

from platform.scores.selectors.confidence import Entropy, MaxSquare, MetaDistributionEnergy
from tests.support.made_evidence import evidence, logits_of, one_hot, random_logits, sampled

LOGITS = random_logits(50, 4)
PROBABILITIES = special.softmax(LOGITS.astype(np.float64), axis=1)
MADE = evidence(target=sampled(LOGITS))


def test_entropy_is_the_mean_over_places_as_a_share_of_the_largest() -> None:
    expected = -np.mean([stats.entropy(p, base=19) for p in PROBABILITIES])
    assert Entropy().score(MADE) == pytest.approx(expected, rel=1e-9)


def test_entropy_ends_at_0_and_at_minus_1() -> None:
    assert Entropy().score(evidence(target=sampled(one_hot([0, 3, 5], 100)))) == pytest.approx(0, abs=1e-12)
    assert Entropy().score(evidence(target=sampled(one_hot([0, 3, 5], 0)))) == pytest.approx(-1, rel=1e-12)


def test_max_square_is_the_mean_of_the_sums_of_squares() -> None:
    expected = sum(sum(value**2 for value in p) for p in PROBABILITIES.tolist()) / len(PROBABILITIES)
    assert MaxSquare().score(MADE) == pytest.approx(expected, rel=1e-9)


def test_max_square_ends_at_1_and_at_one_in_all_classes() -> None:
    assert MaxSquare().score(evidence(target=sampled(one_hot([0, 3, 5], 100)))) == pytest.approx(1, rel=1e-12)
    assert MaxSquare().score(evidence(target=sampled(one_hot([0, 3, 5], 0)))) == pytest.approx(1 / 19, rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_mde_is_the_mean_surprise_of_energies(temperature: float) -> None:
    energies = [-temperature * math.log(sum(math.exp(z / temperature) for z in row)) for row in LOGITS.tolist()]
    expected = -np.mean(special.log_softmax(energies))
    assert MetaDistributionEnergy(temperature=temperature).score(MADE) == pytest.approx(expected, rel=1e-9)


def test_mde_of_equal_energies_is_the_logarithm_of_their_number() -> None:
    for number in (1, 7):
        made = evidence(target=sampled(one_hot(range(number))))
        assert MetaDistributionEnergy().score(made) == pytest.approx(math.log(number), abs=1e-12)


def test_mde_takes_larger_logits_for_better_ones_though_they_predict_the_same() -> None:
    larger = evidence(target=sampled(2 * LOGITS))
    assert MetaDistributionEnergy().score(larger) > MetaDistributionEnergy().score(MADE)


def test_confidence_does_not_see_which_class_is_predicted() -> None:
    p = np.full((6, 19), 0.1 / 18)
    p[range(6), [0, 1, 2, 0, 1, 2]] = 0.9
    for each in (Entropy(), MaxSquare(), MetaDistributionEnergy()):
        first, second = (each.score(evidence(target=sampled(logits_of(q)))) for q in (p, np.roll(p, 5, axis=1)))
        assert first == pytest.approx(second, rel=1e-9)
