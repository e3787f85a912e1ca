"""Importance is Optuna's PED-ANOVA of complete trials, as the search saw their fields."""

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from platform.design.ranges import Dimension, Integers, LogUniform, OneOf, Range, Uniform
from platform.methods import FDA
from platform.search.importance.ped_anova import LEAST_TRIALS, divergences, importance
from platform.search.proposals import Tried, point

RANGES: dict[str, Range] = {
    "rate": LogUniform(1e-3, 1e-1),
    "momentum": Uniform(0.5, 0.9),
    "width": Integers(8, 64, log=True),
    "separable": OneOf(False, True),
    "beta": LogUniform(0.02, 0.1),
}
DIMENSIONS = {
    name: Dimension(range_, FDA.integer("beta", (128, 256)) if name == "beta" else None)
    for name, range_ in RANGES.items()
}
DISTRIBUTIONS = {
    "rate": FloatDistribution(1e-3, 1e-1, log=True),
    "momentum": FloatDistribution(0.5, 0.9),
    "width": IntDistribution(8, 64, log=True),
    "separable": CategoricalDistribution((False, True)),
    # Bands of 128 pixels: 0.02 of them are 2, 0.1 are 12; a logarithm begins at 1, and so 1 is added.
    "beta": IntDistribution(3, 13, log=True),
}


def some_values(random: np.random.Generator) -> dict[str, Any]:
    return {
        "rate": float(10 ** random.uniform(-3, -1)),
        "momentum": float(random.uniform(0.5, 0.9)),
        "width": int(random.integers(8, 65)),
        "separable": bool(random.integers(2)),
        "beta": float(random.uniform(0.02, 0.1)),
    }


@pytest.fixture(autouse=True)
def _few_shuffles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.search.importance.ped_anova.SHUFFLES", 39)


def a_search(number: int, seed: int = 0) -> list[tuple[dict[str, Any], float]]:
    """Values and scores; the rate decides most of the score, and the width some."""
    random = np.random.default_rng(seed)
    drawn = [some_values(random) for _ in range(number)]
    noise = random.normal(0, 0.05, number)
    return [
        (each, -((math.log10(each["rate"]) + 2) ** 2) + each["width"] / 200 + float(more))
        for each, more in zip(drawn, noise, strict=True)
    ]


def tried(search: list[tuple[dict[str, Any], float]], state: Any = "complete") -> list[Tried]:
    return [Tried(point(DIMENSIONS, values), state, 10, score) for values, score in search]


def test_shares_are_those_of_a_study_that_optuna_itself_was_told() -> None:
    search = a_search(24)
    study = optuna.create_study(direction="maximize")
    for values, score in search:
        params = values | {"beta": math.floor(values["beta"] * 128) + 1}
        study.add_trial(create_trial(params=params, distributions=DISTRIBUTIONS, value=score))
    expected = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.5))
    found = importance(DIMENSIONS, tried(search))
    assert list(found) == list(DIMENSIONS)
    assert {field: each.share for field, each in found.items()} == pytest.approx(expected)
    assert sum(each.share for each in found.values()) == pytest.approx(1)
    assert max(found, key=lambda field: found[field].share) == "rate"


def test_chance_is_how_often_scores_dealt_out_by_chance_set_the_best_half_apart_as_far() -> None:
    search = tried(a_search(LEAST_TRIALS))
    found, told = divergences(DIMENSIONS, search), importance(DIMENSIONS, search)
    random = np.random.default_rng(5)
    by_chance = [
        divergences(
            DIMENSIONS,
            [search[n]._replace(value=search[m].value) for n, m in enumerate(random.permutation(len(search)).tolist())],
        )
        for _ in range(49)
    ]
    for field in DIMENSIONS:
        expected = np.mean([each[field] >= found[field] for each in by_chance])
        assert told[field].chance == pytest.approx(expected, abs=0.25)
    assert told["rate"].chance < 0.05
    assert importance(DIMENSIONS, search) == told, "the same trials give the same"


def test_trials_that_were_stopped_or_failed_or_lie_outside_the_ranges_change_nothing() -> None:
    search = tried(a_search(LEAST_TRIALS))
    stopped, failed = tried(a_search(8, seed=1), "stopped"), tried(a_search(8, seed=2), "failed")
    outside = [each._replace(point=None) for each in search[:4]]
    assert importance(DIMENSIONS, [*stopped, *search, *failed, *outside]) == importance(DIMENSIONS, search)


def test_of_too_few_complete_trials_and_of_a_single_field_nothing_is_said() -> None:
    search = tried(a_search(LEAST_TRIALS))
    assert importance(DIMENSIONS, search[1:]) == {}
    one = {"rate": DIMENSIONS["rate"]}
    assert importance(one, [each._replace(point={"rate": 0.01}) for each in search]) == {}


def test_of_scores_that_are_all_equal_every_field_has_the_same_share() -> None:
    found = importance(DIMENSIONS, [each._replace(value=0.5) for each in tried(a_search(LEAST_TRIALS))])
    assert {(each.share, each.chance) for each in found.values()} == {(1 / len(DIMENSIONS), 1.0)}
