"""The recipe's defaults and what it refuses."""

import math
import re
from dataclasses import fields
from typing import Any

import pytest

from platform.hyperparameters import rule_of
from platform.recipe import Recipe


def test_defaults_are_those_of_the_original_study() -> None:
    recipe = Recipe()
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay, recipe.power) == (2.5e-2, 0.9, 1e-4, 0.9)
    assert (recipe.batch, recipe.auxiliary_weight, recipe.batch_norm) == (4, 1.0, "mixed")
    assert (recipe.network_width, recipe.pretrained, recipe.augmentation) == (1.0, False, "flip")


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
            {"batch_norm": "target"},
            "Recipe.batch_norm must be one of 'mixed', 'source', 'frozen', got 'target'; its default is 'mixed'",
        ),
        ({"pretrained": 1}, "Recipe.pretrained must be of type bool, got 1; its default is False"),
        ({"network_width": 0.0}, "Recipe.network_width must be above 0.0, got 0.0; its default is 1.0"),
    ],
)
def test_what_it_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Recipe(**values)


def test_the_network_itself_is_not_searched() -> None:
    fixed = {field.name for field in fields(Recipe) if not rule_of(Recipe, field.name).searchable}
    assert fixed == {"network_width", "pretrained"}
