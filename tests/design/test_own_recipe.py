"""A recipe of a study file's own: its fields, its schedule and its order, and that its code is part of a trial's id."""

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from platform.design.loading import load
from platform.methods import FDA, SourceOnly, hyperparameter
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study, ablate
from platform.training.data.order import Order
from platform.training.steps.rates import LearningRates, descent
from tests.support.tiny_splits import CPU


@dataclass(frozen=True, kw_only=True)
class InOrder(Recipe):
    """Images in the order in which they lie, and a learning rate that may stay as it is."""

    falls: bool = hyperparameter(True, choices=(False, True))

    def order(self, seed: int, purpose: str, epoch: int, length: int) -> Any:
        return range(length)

    def schedule(self, step: int, steps: int) -> float:
        return super().schedule(step, steps) if self.falls else 1.0


@dataclass(frozen=True, kw_only=True)
class Other(Recipe):
    """Another kind."""


def study(arm: Arm, recipe: Recipe | None = None) -> Study:
    return Study(
        shift=town(size=(64, 64)),
        arms={"source only": Arm(SourceOnly), "ours": arm},
        reference="source only",
        budget=Budget(steps=4, evaluations=2),
        recipe=Recipe(network=BiSeNet18(width=0.125), batch=2) if recipe is None else recipe,
    )


def test_an_arm_has_the_fields_of_its_recipe_over_the_studys() -> None:
    _, recipe = study(Arm(FDA, recipe=InOrder, falls=False, momentum=0.5)).row("ours").filled({})
    assert recipe == InOrder(falls=False, momentum=0.5, network=BiSeNet18(width=0.125), batch=2)
    _, others = study(Arm(FDA, recipe=InOrder)).row("source only").filled({})
    assert others == Recipe(network=BiSeNet18(width=0.125), batch=2)


def test_a_studys_own_recipe_is_every_arms() -> None:
    base = InOrder(network=BiSeNet18(width=0.125), falls=False)
    made = study(Arm(FDA, recipe=InOrder, batch=2), base)
    for row in made.rows:
        _, recipe = row.filled({})
        assert isinstance(recipe, InOrder)
        assert not recipe.falls
    assert isinstance(made.smoke().recipe, InOrder)


def test_an_arm_of_it_survives_a_process_and_an_ablation() -> None:
    arm = Arm(FDA, recipe=InOrder, falls=False)
    assert pickle.loads(pickle.dumps(arm)) == arm
    assert arm != Arm(FDA, recipe=InOrder)
    rows = ablate(Arm(FDA, recipe=InOrder), {"fall": {"falls": False}, "flips": {"augmentation": "none"}})
    assert {row.kind for row in rows.values()} == {InOrder}
    assert rows["FDA without fall"].fields == {"falls": False}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Arm(FDA, falls=False), "FDA has no field 'falls'"),
        (lambda: Arm(FDA, recipe=InOrder, fals=False), "Did you mean 'falls'?"),
        (lambda: Arm(FDA, recipe=InOrder, falls=1), "InOrder.falls must be"),
        (lambda: Arm(FDA, recipe=InOrder()), "an arm's recipe must be a class derived from Recipe, got InOrder("),
        (lambda: Arm(FDA, recipe=FDA), "an arm's recipe must be a class derived from Recipe, got"),
        (
            lambda: study(Arm(FDA, recipe=Other), InOrder(network=BiSeNet18(width=0.125))),
            "arm 'ours': its recipe must be a kind of the study's, InOrder, got Other; derive it from that",
        ),
    ],
)
def test_what_cannot_be_is_refused(made: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        made()


def positions(recipe: Recipe, step: int) -> dict[str, list[int]]:
    return Order(1, recipe, {"source": 6, "target": 10}, None).at(step)


def test_images_come_in_the_recipes_order() -> None:
    recipe = InOrder(batch=4)
    assert [positions(recipe, step)["source"] for step in range(3)] == [[0, 1, 2, 3], [4, 5, 0, 1], [2, 3, 4, 5]]
    assert positions(recipe, 2)["target"] == [8, 9, 0, 1]
    drawn = [positions(Recipe(batch=2), step)["source"] for step in range(6)]
    epochs = [[position for step in half for position in step] for half in (drawn[:3], drawn[3:])]
    assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2, 3, 4, 5]] * 2
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 4], [1, 2, 3, 4, 5, 6], None])
def test_an_order_that_is_no_permutation_is_refused(order: Any) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wrong(Recipe):
        def order(self, seed: int, purpose: str, epoch: int, length: int) -> Any:
            return order

    with pytest.raises(ValueError, match=r"Wrong.order must give each position from 0 to 5 once, got"):
        positions(Wrong(), 0)


def test_the_learning_rate_follows_the_recipes_schedule() -> None:
    recipe = InOrder(network=BiSeNet18(width=0.125), falls=False, learning_rate=0.5)
    optimiser = descent(recipe.build(), recipe)
    rates = LearningRates([optimiser], CPU, recorded=False)
    rates.scale(recipe.schedule(3, 4))
    assert optimiser.param_groups[0]["lr"] == 0.5


FILE = '''"""Does the order matter?"""
from dataclasses import dataclass

from platform.methods import SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study


@dataclass(frozen=True, kw_only=True)
class Turned(Recipe):
    def order(self, seed, purpose, epoch, length):
        return range(length)[::-1]


study = Study(
    shift=town(size=(64, 64)),
    arms={"turned": Arm(SourceOnly, recipe=Turned), "drawn": Arm(SourceOnly)},
    reference="drawn",
    budget=Budget(steps=4, evaluations=2),
    recipe=Recipe(network=BiSeNet18(width=0.125)),
)
'''


def test_its_code_is_part_of_the_ids_of_its_trials_and_of_no_others(tmp_path: Path) -> None:
    file = tmp_path / "orders.py"

    def trials(code: str) -> dict[str, str]:
        file.write_text(code)
        return {row.name: row.trial({}, 1, {}).id for row in load(file).study.rows}

    first = trials(FILE)
    assert first["turned"] != first["drawn"]
    assert trials(FILE.replace("# nothing", "")) == first
    changed = trials(FILE.replace("[::-1]", "[::1]"))
    assert changed["drawn"] == first["drawn"]
    assert changed["turned"] != first["turned"]
