"""Selectors by how sure predictions are and how they differ, against the whole matrix of probabilities."""

import math

import numpy as np
import pytest
from scipy import special

from platform.scores.metrics import confusion
from platform.scores.selectors.dispersity import InformationMaximisation, NormAndPrior, NuclearNorm, PriorDivergence
from platform.shifts.labels import VOID
from tests.support.made_evidence import evidence, logits_of, one_hot, random_logits, sampled

LOGITS = random_logits(70, 5)
PROBABILITIES = special.softmax(LOGITS.astype(np.float64), axis=1)
MADE = evidence(target=sampled(LOGITS))


def test_information_is_the_mean_divergence_of_places_from_their_mean() -> None:
    """The mutual information of place and class is a mean of Kullback-Leibler divergences."""
    marginal = [sum(p[c] for p in PROBABILITIES) / len(PROBABILITIES) for c in range(19)]
    divergence = np.mean([special.rel_entr(p, marginal).sum() for p in PROBABILITIES])
    assert InformationMaximisation().score(MADE) == pytest.approx(divergence / math.log(19), rel=1e-9)


@pytest.mark.parametrize(
    ("classes", "margin", "expected"), [(range(19), 100, 1.0), (range(19), 0, 0.0), ([4] * 9, 100, 0.0)]
)
def test_information_is_1_where_sure_places_share_all_classes_and_0_where_nothing_is_told(
    classes: list[int], margin: float, expected: float
) -> None:
    made = evidence(target=sampled(one_hot(classes, margin)))
    assert InformationMaximisation().score(made) == pytest.approx(expected, abs=1e-12)


def test_the_nuclear_norm_is_the_sum_of_the_singular_values_of_all_probabilities() -> None:
    values = np.linalg.svd(PROBABILITIES, compute_uv=False)
    assert NuclearNorm().score(MADE) == pytest.approx(values.sum() / math.sqrt(70 * 19), rel=1e-7)


def test_the_nuclear_norm_of_sure_places_is_the_sum_of_roots_of_shares() -> None:
    """P^T P / n is then the diagonal matrix of the shares."""
    made = evidence(target=sampled(one_hot([0] * 16 + [1] * 4 + [2] * 4 + [3], 100)))
    expected = sum(math.sqrt(share / 25 / 19) for share in (16, 4, 4, 1))
    assert NuclearNorm().score(made) == pytest.approx(expected, rel=1e-7)
    assert NuclearNorm().score(evidence(target=sampled(one_hot(range(19), 100)))) == pytest.approx(1, rel=1e-7)


def with_prior(shares: dict[int, int], probabilities: np.ndarray) -> float:
    """The prior divergence where the source's labels show classes so often, and some void."""
    labels = np.array([number for number, count in shares.items() for _ in range(count)] + [VOID] * 5, np.uint8)
    made = evidence(source_confusion=confusion(np.zeros_like(labels), labels), target=sampled(logits_of(probabilities)))
    return PriorDivergence().score(made)


def test_prior_divergence_sums_over_classes_that_the_source_shows() -> None:
    random = np.random.default_rng(3)
    p = random.dirichlet(np.ones(19), 40).astype(np.float64)
    exact = special.softmax(logits_of(p).astype(np.float64), axis=1)
    shares = {0: 50, 2: 30, 7: 15, 11: 5}
    expected = -sum(
        count / 100 * math.log(count / 100 / (sum(row[number] for row in exact) / 40))
        for number, count in shares.items()
    )
    assert with_prior(shares, p) == pytest.approx(expected, rel=1e-9)


def test_prior_divergence_is_0_for_whatever_has_the_prior_s_shares_and_below_for_all_else() -> None:
    shares = {0: 50, 2: 25, 13: 25}
    same = np.zeros((4, 19))
    same[[0, 1, 2, 3], [0, 2, 13, 0]] = 1
    assert with_prior(shares, same) == pytest.approx(0, abs=1e-9)
    assert with_prior(shares, np.tile(same.mean(axis=0), (4, 1))) == pytest.approx(0, abs=1e-3)
    # Nothing of class 2 is predicted: its divergence is bounded, or one such class would outweigh all else.
    assert -25 < with_prior(shares, same[[0, 2, 3, 0]]) < -1


def test_norm_and_prior_multiply_the_norm_by_how_likely_the_prior_finds_the_shares() -> None:
    """exp of the score is ||P||_* / sqrt(n C) times prod_c (m_c / q_c)^q_c."""
    p = special.softmax(random_logits(60, 4).astype(np.float64), axis=1)
    labels = np.array([0] * 5 + [3] * 3 + [10] * 2, np.uint8)
    made = evidence(source_confusion=confusion(labels, labels), target=sampled(random_logits(60, 4)))
    norm = np.linalg.svd(p, compute_uv=False).sum() / math.sqrt(60 * 19)
    likely = math.prod((p[:, each].mean() / share) ** share for each, share in ((0, 0.5), (3, 0.3), (10, 0.2)))
    assert math.exp(NormAndPrior().score(made)) == pytest.approx(norm * likely, rel=1e-6)


def test_dispersity_prefers_equal_shares_to_those_of_the_street() -> None:
    """A known failure of two of the three: they take classes to be equally frequent."""
    street, equal = one_hot([0] * 8 + [1, 2]), one_hot([0, 1, 2] * 3 + [0])
    labels = np.array([0] * 8 + [1, 2], np.uint8)
    for each, prefers_equal in ((InformationMaximisation(), True), (NuclearNorm(), True), (PriorDivergence(), False)):
        true, wrong = (
            each.score(evidence(target=sampled(logits), source_confusion=confusion(labels, labels)))
            for logits in (street, equal)
        )
        assert (wrong > true) == prefers_equal
