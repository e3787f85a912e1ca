"""The recipe's defaults and what it refuses."""

import math
import re
from typing import Any

import pytest

from platform.networks import BiSeNet18
from platform.training.recipe import Recipe


def test_defaults_are_those_of_the_original_study() -> None:
    recipe = Recipe()
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay, recipe.power) == (2.5e-2, 0.9, 1e-4, 0.9)
    assert (recipe.batch, recipe.auxiliary_weight, recipe.batch_norm) == (4, 1.0, "mixed")
    assert (recipe.optimiser, recipe.head_factor, recipe.decays_vectors, recipe.warm_up) == ("SGD", 1.0, True, 0.0)
    assert (recipe.network, recipe.augmentation) == (BiSeNet18(width=1.0, pretrained=False), "flip")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": 1}, "Recipe.batch must be at least 2, got 1; its default is 4"),
        ({"batch": 4.0}, "Recipe.batch must be of type int, got 4.0; its default is 4"),
        ({"learning_rate": 0.0}, "Recipe.learning_rate must be above 0.0, got 0.0; its default is 0.025"),
        ({"learning_rate": math.inf}, "Recipe.learning_rate must be finite, got inf; its default is 0.025"),
        ({"momentum": 1.0}, "Recipe.momentum must be at least 0.0 and below 1.0, got 1.0; its default is 0.9"),
        ({"weight_decay": -1e-4}, "Recipe.weight_decay must be at least 0.0, got -0.0001; its default is 0.0001"),
        ({"power": math.nan}, "Recipe.power must be finite, got nan; its default is 0.9"),
        (
            {"augmentation": "crop"},
            "Recipe.augmentation must be one of 'none', 'flip', 'flip and crop', got 'crop'; its default is 'flip'",
        ),
        (
            {"batch_norm": "own"},
            "Recipe.batch_norm must be one of 'mixed', 'source', 'frozen', 'target', 'domain-specific', got 'own'; "
            "its default is 'mixed'",
        ),
        (
            {"optimiser": "adam"},
            "Recipe.optimiser must be one of 'SGD', 'Adam', 'AdamW', got 'adam'; its default is 'SGD'",
        ),
        ({"head_factor": 0.0}, "Recipe.head_factor must be above 0.0, got 0.0; its default is 1.0"),
        (
            {"decays_vectors": 0},
            "Recipe.decays_vectors must be of type bool, got 0; its default is True",
        ),
        ({"warm_up": 1.0}, "Recipe.warm_up must be at least 0.0 and below 1.0, got 1.0; its default is 0.0"),
        (
            {"network": "BiSeNet18"},
            "Recipe.network must be of type Architecture, got 'BiSeNet18'; "
            "its default is BiSeNet18(width=1.0, pretrained=False)",
        ),
        (
            {"network": BiSeNet18},
            "Recipe.network must be of type Architecture, got "
            "<class 'platform.networks.architectures.bisenet.BiSeNet18'>; "
            "its default is BiSeNet18(width=1.0, pretrained=False); call it: BiSeNet18()",
        ),
    ],
)
def test_what_it_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Recipe(**values)


def test_without_warm_up_the_schedule_is_the_decay_alone() -> None:
    assert [Recipe().schedule(step, 8) for step in range(8)] == [(1 - step / 8) ** 0.9 for step in range(8)]


@pytest.mark.parametrize(("warm_up", "rise"), [(0.5, [0.2, 0.4, 0.6, 0.8, 1.0]), (0.25, [0.4, 0.8]), (0.05, [])])
def test_learning_rates_rise_linearly_from_the_first_step_on_while_they_decay(
    warm_up: float, rise: list[float]
) -> None:
    rise = rise + [1.0] * (10 - len(rise))
    found = [Recipe(warm_up=warm_up, power=1.0).schedule(step, 10) for step in range(10)]
    assert found == pytest.approx([factor * (1 - step / 10) for step, factor in enumerate(rise)])
