"""The smoke run's study."""

from typing import Any

import pytest

from platform.methods import FDA, Adversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import gta5_to_cityscapes
from platform.shifts.labels import CAMVID_11
from platform.study import ASHA, Arm, Budget, Integers, LogUniform, Recipe, Study

ARMS = {
    "source only": Arm(SourceOnly),
    "FDA": Arm(FDA, beta=LogUniform(0.01, 0.1), eta=1.5, learning_rate=LogUniform(1e-3, 0.1)),
    "own recipe": Arm(FDA, network=BiSeNet18(pretrained=True), batch=Integers(2, 16), momentum=0.5),
    "adversarial": Arm(Adversarial, width=16),
}


def study(**changes: Any) -> Study:
    """A study that no laptop could run."""
    fine: dict[str, Any] = {
        "shift": gta5_to_cityscapes(size=(512, 1024), groups=CAMVID_11),
        "arms": ARMS,
        "reference": "FDA",
        "select": "oracle/miou",
        "search": ASHA(trials=12),
        "budget": Budget(steps=20_000, evaluations=20, gpus=0.5, cpus=2),
        "recipe": Recipe(network=BiSeNet18(pretrained=True), weight_decay=5e-4, batch=16),
    }
    return Study(**{**fine, **changes})


def test_rows_reference_and_selector_stay() -> None:
    small = study().smoke()
    assert list(small.arms) == list(ARMS)
    assert [arm.methods for arm in small.arms.values()] == [arm.methods for arm in ARMS.values()]
    assert (small.reference, small.select) == ("FDA", "oracle/miou")
    assert small.arms["FDA"].fields == ARMS["FDA"].fields
    assert small.shift.groups == CAMVID_11


def test_the_budget_shrinks_to_seconds() -> None:
    small = study().smoke()
    assert small.budget == Budget(steps=4, evaluations=4, cpus=2)
    assert small.seeds == 1
    assert small.rungs == (2,), "a rung is passed"
    assert small.search is not None
    assert small.search.smoothing > 1, "and its mean is one of several evaluations"
    assert max(row.search_trials for row in small.rows) == 2
    assert study(arms={"FDA": Arm(FDA)}, search=None).smoke().search is None


@pytest.mark.parametrize("ramp", [0.0, 0.1, 0.3, 0.49])
def test_a_rung_is_passed_after_a_usual_warm_up_too(ramp: float) -> None:
    small = study(arms={"FDA": ARMS["FDA"], "adversarial": Arm(Adversarial, ramp=ramp)}).smoke()
    assert small.warm_up == ramp
    assert small.rungs[0] in (2, 3)


@pytest.mark.parametrize("name", ARMS)
def test_every_row_becomes_small_whatever_its_own_recipe(name: str) -> None:
    _, recipe = study().smoke().row(name).filled({})
    assert (recipe.network, recipe.batch) == (BiSeNet18(width=0.125), 2)
    assert recipe.weight_decay == 5e-4
    assert recipe.momentum == (0.5 if name == "own recipe" else 0.9)


def test_no_data_is_needed() -> None:
    small = study().smoke()
    small.shift.check()
    splits = {"source_images", "target_images"}
    assert all(sum(images) < 40 for name, images in vars(small.shift).items() if name in splits)
