"""The weighed error on the source, against logistic regression by a general optimiser."""

import math

import numpy as np
import pytest
from scipy import optimize

from platform.scores.selectors.risk import DeepEmbeddedValidation
from platform.scores.selectors.risk.deep_embedded_validation import log_odds
from platform.shifts.labels import VOID, groups, train_id
from tests.support.made_evidence import evidence, one_hot, sampled

RANDOM = np.random.default_rng(0)


def by_optimiser(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Log odds at the source's points: the penalised likelihood of logistic regression, maximised as a whole."""
    points = np.concatenate([source, target])
    centre, deviation = points.mean(axis=0), np.sqrt(points.var(axis=0))
    scaled = (points - centre) / deviation
    sign = np.array([-1.0] * len(source) + [1.0] * len(target))

    def loss(parameters: np.ndarray) -> float:
        *weights, bias = parameters
        margins = sign * (scaled @ np.array(weights) + bias)
        return float(np.logaddexp(0, -margins).sum() + 0.5 * np.square(weights).sum())

    solution = optimize.minimize(loss, np.zeros(source.shape[1] + 1), method="BFGS", options={"gtol": 1e-7})
    odds: np.ndarray = scaled[: len(source)] @ solution.x[:-1] + solution.x[-1]
    return odds


CASES = {
    "alike": (RANDOM.normal(0, 1, (120, 3)), RANDOM.normal(0, 1, (150, 3))),
    "shifted": (RANDOM.normal(0, 1, (120, 3)), RANDOM.normal(0.8, 1.5, (150, 3))),
    "unlike numbers": (RANDOM.normal(0, 1, (30, 2)), RANDOM.normal(0.5, 1, (300, 2))),
    "apart": (RANDOM.normal(-4, 1, (80, 2)), RANDOM.normal(4, 1, (80, 2))),
    "other scales": (RANDOM.normal(0, 1, (90, 2)) * (1e3, 1e-2), RANDOM.normal(0.3, 1, (90, 2)) * (1e3, 1e-2)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_probe_of_domains_is_penalised_logistic_regression(case: str) -> None:
    source, target = CASES[case]
    np.testing.assert_allclose(log_odds(source, target), by_optimiser(source, target), atol=2e-3, rtol=2e-3)


def test_the_probe_finds_its_optimum_where_domains_are_far_apart_in_many_directions() -> None:
    """Newton's method may overshoot there: the gradient of the likelihood is 0 all the same."""
    random = np.random.default_rng(1)
    source, target = random.normal(-1, 0.05, (200, 16)), random.normal(1, 0.05, (200, 16))
    odds = log_odds(source, target)
    assert np.isfinite(odds).all()
    np.testing.assert_allclose(odds, by_optimiser(source, target), rtol=2e-2)


def score(source: np.ndarray, target: np.ndarray, wrong: np.ndarray, labelled: np.ndarray | None = None) -> float:
    labels = np.where(wrong, 1, 0)
    if labelled is not None:
        labels[~labelled] = VOID
    made = evidence(
        source=sampled(one_hot([0] * len(source)), source),
        target=sampled(one_hot([0] * len(target)), target),
        source_labels=labels,
    )
    return DeepEmbeddedValidation().score(made)


def by_loops(source: np.ndarray, target: np.ndarray, wrong: np.ndarray, labelled: np.ndarray) -> float:
    """The mean loss, weighed by odds that are divided by their mean."""
    ratio = [math.exp(odds) for odds, there in zip(by_optimiser(source, target), labelled, strict=True) if there]
    mean = sum(ratio) / len(ratio)
    losses = [float(each) for each, there in zip(wrong, labelled, strict=True) if there]
    return -sum(weight / mean * loss for weight, loss in zip(ratio, losses, strict=True)) / len(losses)


@pytest.mark.parametrize("case", ["alike", "shifted", "unlike numbers"])
def test_the_score_is_the_weighed_share_of_errors_at_labelled_samples(case: str) -> None:
    source, target = (each.astype(np.float16).astype(np.float64) for each in CASES[case])
    random = np.random.default_rng(2)
    wrong, labelled = random.random(len(source)) < 0.4, random.random(len(source)) < 0.7
    expected = by_loops(source, target, wrong, labelled)
    assert score(source, target, wrong, labelled) == pytest.approx(expected, abs=2e-3)


def test_errors_are_between_the_classes_that_the_shift_distinguishes() -> None:
    """Terrain for vegetation is none where both are one class; a sky for a class that does not count is none either."""
    points = RANDOM.normal(0, 1, (4, 3))
    vegetation, terrain, sky, car = map(train_id, ("vegetation", "terrain", "sky", "car"))
    made = evidence(
        source=sampled(one_hot([terrain, sky, sky, car]), points),
        target=sampled(one_hot([0] * 4), points),
        source_labels=[vegetation, sky, car, sky],
        groups=groups("vegetation+terrain", "sky"),
    )
    assert DeepEmbeddedValidation().score(made) == pytest.approx(-1 / 3), "one error in three labelled places"


def test_where_nothing_tells_the_domains_apart_it_is_the_share_of_errors() -> None:
    points = RANDOM.normal(0, 1, (60, 3))
    wrong = np.arange(60) < 15
    assert score(points, points, wrong) == pytest.approx(-0.25, abs=1e-6)
    assert score(np.full((60, 3), 0.3), np.full((60, 3), 0.3), wrong) == pytest.approx(-0.25, abs=1e-6)


def test_errors_weigh_more_where_the_source_looks_like_the_target() -> None:
    source, target = np.linspace(0, 1, 100)[:, None], np.linspace(0.5, 1.5, 100)[:, None]
    near = score(source, target, source[:, 0] > 0.7)
    far = score(source, target, source[:, 0] < 0.3)
    assert near < far


def test_where_domains_are_apart_what_looks_most_like_the_target_decides() -> None:
    source, target = CASES["apart"]
    nearest = source.sum(axis=1) >= np.sort(source.sum(axis=1))[-8]
    assert score(source, target, nearest) < -0.2, "an error in ten"
    assert score(source, target, ~nearest) > -0.8, "nine errors in ten"


def test_without_errors_it_is_0_the_best_and_with_nothing_else_minus_1() -> None:
    source, target = CASES["shifted"]
    assert score(source, target, np.zeros(120, bool)) == pytest.approx(0, abs=1e-12)
    assert score(source, target, np.ones(120, bool)) == pytest.approx(-1, rel=1e-12)


def test_without_a_labelled_sample_it_says_nothing() -> None:
    source, target = CASES["shifted"]
    assert score(source, target, np.zeros(120, bool), np.zeros(120, bool)) == 0
