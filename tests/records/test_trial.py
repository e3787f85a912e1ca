"""The identity of a trial."""

import dataclasses
import pickle
from typing import Any

import pytest

from platform.records.trial import SEARCH_SEED, Trial

TRIAL = Trial(
    method="FDA",
    hyperparameters={"beta": 0.01, "entropy_weight": 0.005, "eta": 2.0},
    recipe={"learning_rate": 0.025, "batch": 4, "pretrained": False, "augmentation": "flip"},
    shift={"name": "town", "size": [64, 128], "groups": [[0], [1, 2]], "data": None},
    resolved={"beta": {"band": 0}},
    seed=1,
    steps=300,
    evaluations=6,
    threads=1,
    code="0123456789ab",
)


def test_the_id_is_the_same_in_every_process_and_for_ever() -> None:
    assert TRIAL.id == "8183463daa42"


def test_the_id_survives_pickling_and_a_record() -> None:
    assert pickle.loads(pickle.dumps(TRIAL)) == TRIAL
    assert pickle.loads(pickle.dumps(TRIAL)).id == TRIAL.id
    assert Trial(**dataclasses.asdict(TRIAL)).id == TRIAL.id


def test_the_order_of_settings_decides_nothing() -> None:
    turned = dataclasses.replace(TRIAL, recipe=dict(reversed(TRIAL.recipe.items())))
    assert turned.id == TRIAL.id


@pytest.mark.parametrize(
    "change",
    [
        {"method": "Adversarial"},
        {"hyperparameters": TRIAL.hyperparameters | {"eta": 1.0}},
        {"hyperparameters": TRIAL.hyperparameters | {"entropy_weight": 0.0}},
        {"recipe": TRIAL.recipe | {"learning_rate": 0.0250001}},
        {"recipe": TRIAL.recipe | {"batch": 8}},
        {"recipe": TRIAL.recipe | {"pretrained": True}},
        {"recipe": TRIAL.recipe | {"augmentation": "none"}},
        {"recipe": TRIAL.recipe | {"momentum": 0.9}},
        {"shift": TRIAL.shift | {"size": [128, 64]}},
        {"shift": TRIAL.shift | {"groups": [[0, 1], [2]]}},
        {"shift": TRIAL.shift | {"data": "0123"}},
        {"data": {"FDA": "0123"}},
        {"resolved": {"beta": {"band": 1}}},
        {"resolved": {}},
        {"seed": 2},
        {"steps": 301},
        {"evaluations": 5},
        {"threads": 2},
        {"code": "ba9876543210"},
        {"after": ("0123456789ab",)},
    ],
    ids=str,
)
def test_whatever_decides_the_outcome_decides_the_id(change: dict[str, Any]) -> None:
    assert dataclasses.replace(TRIAL, **change).id != TRIAL.id


def test_every_field_is_changed_by_the_test_above() -> None:
    changed = {"method", "hyperparameters", "recipe", "shift", "resolved", "seed", "steps", "evaluations"}
    changed |= {"threads", "code", "data", "after"}
    assert changed == {field.name for field in dataclasses.fields(Trial)}


def test_values_that_mean_the_same_band_are_one_trial() -> None:
    assert dataclasses.replace(TRIAL, hyperparameters=TRIAL.hyperparameters | {"beta": 0.012}).id == TRIAL.id


def test_a_number_that_json_has_no_word_for_has_no_id() -> None:
    trial = dataclasses.replace(TRIAL, recipe={"learning_rate": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        _ = trial.id


def test_the_search_seed_confirms_nothing() -> None:
    assert not dataclasses.replace(TRIAL, seed=SEARCH_SEED).confirms
    assert all(dataclasses.replace(TRIAL, seed=SEARCH_SEED + number).confirms for number in (1, 2, 3))
