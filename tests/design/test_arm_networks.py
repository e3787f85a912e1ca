"""Networks as a field of the recipe: fixed, searched, recorded and shrunk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from platform.commands.terminal.plan import describe
from platform.design.header import header
from platform.design.plan import plan
from platform.methods import FDA, SourceOnly
from platform.methods.composition import Composition
from platform.networks import Architecture, BiSeNet18, Network, hyperparameter
from platform.networks.architectures.bisenet import BiSeNet
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, OneOf, Recipe, Study, Uniform
from platform.training.cost import cost_of
from tests.support.refusing import refused
from tests.support.simulated_study import Simulation

NARROW, WIDE = BiSeNet18(width=0.25), BiSeNet18(width=0.5)
PUBLISHED = BiSeNet18()


class Undecorated(Architecture):
    """One whose fields would not be its own."""

    stripes: int = hyperparameter(2, at_least=1)

    def build(self) -> Network:
        return BiSeNet(width=0.125 * self.stripes)


@dataclass(frozen=True, kw_only=True)
class Striped(Architecture):
    """A network of a study file's own, which has no small one."""

    stripes: int = hyperparameter(2, at_least=1)

    def build(self) -> Network:
        return BiSeNet(width=0.125 * self.stripes)


def study(*arms: Arm, **changes: Any) -> Study:
    """A study of these arms that searches."""
    fine: dict[str, Any] = {
        "shift": town(size=(64, 64)),
        "arms": {f"row {number}": arm for number, arm in enumerate(arms)},
        "reference": "row 0",
        "search": ASHA(trials=6),
        "budget": Budget(steps=8, evaluations=4),
        "seeds": 2,
    }
    return Study(**{**fine, **changes})


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (
            lambda: Arm(FDA, network=BiSeNet18),
            ["Recipe.network must be of type Architecture, got", "call it: BiSeNet18()"],
        ),
        (
            lambda: Arm(FDA, network=BiSeNet18(width=Uniform(0.1, 0.5))),  # type: ignore[arg-type]
            ["BiSeNet18.width must be", "got Uniform(0.1, 0.5)", "networks: OneOf(BiSeNet18(...), BiSeNet18(...))"],
        ),
        (
            lambda: Arm(FDA, network=Undecorated()),
            ["Undecorated declares hyperparameters but is not a dataclass; write @dataclass(frozen=True, "],
        ),
        (lambda: Arm(FDA, network=0.25), ["Recipe.network must be of type Architecture, got 0.25", "BiSeNet18(width"]),
        (lambda: Arm(FDA, network=Uniform(0.1, 1)), ["Recipe.network is of type Architecture, but", "use OneOf"]),
        (lambda: Arm(FDA, network=OneOf(0.1, 1.0)), ["Recipe.network must be of type Architecture, got 0.1"]),
        (lambda: Arm(FDA, network=OneOf(NARROW, BiSeNet18)), ["must list numbers, truth values, texts or networks"]),
        (lambda: Arm(FDA, network=OneOf(NARROW, BiSeNet18(width=0.25))), ["lists a value twice"]),
        (lambda: Arm(FDA, beta=OneOf(NARROW, WIDE)), ["FDA.beta must be of type int or float, got BiSeNet18("]),
        (
            lambda: Arm(FDA, network=BiSeNet18(width=Uniform(0.1, 1))),  # type: ignore[arg-type]
            ["BiSeNet18.width must be of type int or float, got Uniform(0.1, 1)"],
        ),
        (lambda: Recipe(network=BiSeNet18), ["Recipe.network", "call it: BiSeNet18()"]),  # type: ignore[arg-type]
        (lambda: Recipe(network=OneOf(NARROW, WIDE)), ["Recipe.network must be of type"]),  # type: ignore[arg-type]
        (lambda: BiSeNet18(width=0.001), ["BiSeNet18.width must be at least 0.015625, got 0.001"]),
        (
            lambda: BiSeNet18(width=0.25, pretrained=True),
            ["BiSeNet18.pretrained must be False unless width is 1, got width=0.25"],
        ),
    ],
)
def test_what_is_no_network_is_refused_before_anything_runs(make: Callable[[], object], parts: list[str]) -> None:
    refused(make, *parts)


def test_a_fixed_network_is_the_arms_own_and_recorded_by_the_call_that_makes_it() -> None:
    made = study(Arm(FDA, network=NARROW), Arm(FDA), recipe=Recipe(network=WIDE))
    assert [row.filled({})[1].network for row in made.rows] == [NARROW, WIDE]
    texts = [row.trial({}, 0, {}).recipe["network"] for row in made.rows]
    assert texts == ["BiSeNet18(width=0.25, pretrained=False)", "BiSeNet18(width=0.5, pretrained=False)"]
    assert [eval(text) for text in texts] == [NARROW, WIDE]
    assert made.rows[0].trial({}, 0, {}).id != made.rows[1].trial({}, 0, {}).id


def test_whole_and_real_widths_of_one_value_are_one_network() -> None:
    one, other = study(Arm(FDA, network=BiSeNet18(width=1))), study(Arm(FDA, network=BiSeNet18(width=1.0)))
    assert one.rows[0].trial({}, 0, {}).id == other.rows[0].trial({}, 0, {}).id


def test_a_plan_shows_networks_fixed_and_searched() -> None:
    made = study(Arm(FDA, network=NARROW), Arm(FDA, network=OneOf(NARROW, WIDE)), recipe=Recipe(network=WIDE))
    text = " ".join(describe(made, "networks").split())
    assert f"network {NARROW}" in text
    assert f"network OneOf({NARROW}, {WIDE})" in text
    assert f"recipe network={WIDE}, the rest at its defaults" in text
    told = header(made, "networks", "Which?", {}, "", "")
    assert told.arms[1].searched == {"network": f"OneOf({NARROW}, {WIDE})"}


def test_a_plan_warns_of_a_default_network_that_is_none_of_those_searched() -> None:
    inside = study(Arm(FDA, network=OneOf(NARROW, WIDE)), recipe=Recipe(network=NARROW))
    outside = study(Arm(FDA, network=OneOf(NARROW, WIDE)))
    assert (inside.rows[0].search_trials, outside.rows[0].search_trials) == (2, 3)
    assert plan(inside).warnings == ()
    assert plan(outside).warnings == (f"'row 0' tries its default first, outside of its ranges: network {PUBLISHED}",)


@pytest.mark.parametrize("own", [NARROW, PUBLISHED], ids=["inside", "outside"])
def test_a_trials_recorded_values_give_its_network_back(own: Architecture) -> None:
    row = study(Arm(FDA, network=OneOf(NARROW, WIDE)), recipe=Recipe(network=own)).rows[0]
    for chosen, network in (({}, own), ({"network": NARROW}, NARROW), ({"network": WIDE}, WIDE)):
        trial = row.trial(chosen, 0, {})
        assert trial.recipe["network"] == repr(network)
        recorded = trial.values(row.dimensions)
        assert recorded == {"network": repr(network)}
        methods, recipe = row.filled(recorded)
        assert (methods.methods, recipe.network) == ((FDA(),), network)
        assert row.trial(recorded, 0, {}).id == trial.id


@pytest.mark.parametrize("results", [None, 1, 3, 6])
@pytest.mark.parametrize("own", [NARROW, PUBLISHED], ids=["inside", "outside"])
def test_a_search_tries_each_network_once_and_confirms_the_best_also_when_it_goes_on(
    own: Architecture, results: int | None, tmp_path: Path
) -> None:
    made = study(Arm(SourceOnly, network=OneOf(NARROW, WIDE)), recipe=Recipe(network=own), select="source/miou")
    if results is not None:
        Simulation(tmp_path, made, slots=1).run(results)
    trained = Simulation(tmp_path, made, slots=1)
    assert trained.run() == []
    assert trained.finished()
    tried = {repr(own), repr(NARROW), repr(WIDE)}
    search = [record.trial.recipe["network"] for record in trained.record("row 0", "search")]
    assert search[0] == repr(own), "the default comes first"
    assert sorted(search) == sorted(tried)
    confirmed = {record.trial.recipe["network"] for record in trained.record("row 0", "confirm")}
    assert len(confirmed) == 1
    assert confirmed <= tried
    for record in trained.record("row 0", "search"):
        network = next(each for each in (NARROW, WIDE, PUBLISHED) if repr(each) == record.trial.recipe["network"])
        assert record.cost["parameters"] == cost_of(Composition((SourceOnly(),)), Recipe(network=network)).parameters


def test_each_arm_costs_what_its_own_network_costs() -> None:
    made = study(Arm(FDA), Arm(FDA, network=NARROW), Arm(FDA, network=OneOf(NARROW, WIDE)))
    own, narrow, searched = (row.cost.parameters for row in made.rows)
    assert own == searched == 12_581_672, "at the default of what is searched"
    assert narrow < 1_000_000


# The smoke run


def smoked(arm: Arm, **changes: Any) -> dict[str, Any]:
    """The fields of an arm in the smoke run."""
    return dict(study(arm, **changes).smoke().arms["row 0"].fields)


def test_a_smoke_run_shrinks_networks_of_an_arms_own() -> None:
    small = BiSeNet18(width=0.125)
    assert smoked(Arm(FDA, network=BiSeNet18(pretrained=True), momentum=0.5)) == {"network": small, "momentum": 0.5}
    assert smoked(Arm(FDA, network=OneOf(NARROW, WIDE))) == {"network": small}, "all of one kind are one"
    assert smoked(Arm(FDA, network=OneOf(NARROW, WIDE, Striped()))) == {"network": OneOf(small, Striped())}
    assert smoked(Arm(FDA, network=Striped(stripes=3))) == {"network": Striped(stripes=3)}, "which has no small one"
    assert smoked(Arm(FDA)) == {}
    assert study(Arm(FDA), recipe=Recipe(network=Striped())).smoke().recipe.network == Striped()


def test_a_smoke_run_of_searched_networks_searches_what_is_left() -> None:
    alone = study(Arm(FDA, network=OneOf(NARROW, WIDE))).smoke().rows[0]
    assert (alone.search_trials, alone.trials) == (0, 1)
    both = study(Arm(FDA, network=OneOf(NARROW, Striped()))).smoke().rows[0]
    assert (both.search_trials, both.trials) == (2, 3)


def test_the_code_of_every_network_that_may_be_trained_decides_a_trial() -> None:
    row = study(Arm(FDA, network=OneOf(NARROW, Striped()))).rows[0]
    assert {BiSeNet18, Striped, FDA} < set(row.code)
    assert Striped not in study(Arm(FDA, network=NARROW), recipe=Recipe(network=Striped())).rows[0].code
