"""Studies, arms, budgets and the schedule of rungs."""

import dataclasses
import itertools
import pickle
from fractions import Fraction
from typing import Any

import pytest

from platform.design.budget import Slot
from platform.methods import FDA, Adversarial, MajorityVote, SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.records.trial import SEARCH_SEED
from platform.shifts import gta5_to_cityscapes, town
from platform.study import ASHA, Arm, Budget, Integers, LogUniform, OneOf, Recipe, Study, Uniform
from tests.support.refusing import refused

BUDGET = Budget(steps=300, evaluations=6)
SEARCH = ASHA(trials=12)


def study(arms: dict[str, Arm] | None = None, **changes: Any) -> Study:
    """A study that is fine but for what a test changes."""
    arms = {"source only": Arm(SourceOnly)} if arms is None else arms
    fine: dict[str, Any] = {"shift": town(), "arms": arms, "reference": next(iter(arms), ""), "budget": BUDGET}
    return Study(**{**fine, **changes})


# A budget


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(300, 6, (50, 100, 150, 200, 250, 300)), (10, 3, (3, 6, 10)), (7, 7, tuple(range(1, 8))), (5, 1, (5,))],
)
def test_a_trial_is_evaluated_at_even_steps_and_at_the_last(
    steps: int, evaluations: int, expected: tuple[int, ...]
) -> None:
    assert Budget(steps=steps, evaluations=evaluations).evaluated_steps == expected


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"steps": 0}, ["Budget.steps must be a whole number of at least 1, got 0"]),
        ({"steps": True}, ["Budget.steps must be a whole number of at least 1, got True"]),
        ({"steps": 4.0}, ["Budget.steps must be a whole number", "got 4.0"]),
        ({"steps": Integers(1, 9)}, ["Budget.steps", "got Integers(1, 9); only the fields of an Arm take ranges"]),
        ({"evaluations": 0}, ["Budget.evaluations must be a whole number of at least 1, got 0"]),
        ({"evaluations": 301}, ["Budget.evaluations must be at most Budget.steps, 300, got 301"]),
        ({"cpus": 0.5}, ["Budget.cpus must be a whole number of at least 1, got 0.5"]),
        ({"gpus": -1}, ["Budget.gpus must be at least 0", "got -1"]),
        ({"gpus": 1.5}, ["Budget.gpus must be at least 0, and a whole number from 1 on, got 1.5"]),
        ({"gpus": float("nan")}, ["Budget.gpus", "got nan"]),
        ({"gpus": float("inf")}, ["Budget.gpus", "got inf"]),
        ({"gpus": "1"}, ["Budget.gpus", "got '1'"]),
        ({"silence": 0}, ["Budget.silence must be a number of hours above 0, or None, got 0"]),
        ({"silence": -1}, ["Budget.silence", "got -1"]),
        ({"silence": True}, ["Budget.silence", "got True"]),
        ({"silence": float("inf")}, ["Budget.silence", "or None, got inf"]),
        ({"silence": float("nan")}, ["Budget.silence", "got nan"]),
        ({"silence": "6 h"}, ["Budget.silence", "got '6 h'"]),
    ],
)
def test_a_budget_refuses(fields: dict[str, Any], parts: list[str]) -> None:
    refused(lambda: Budget(**{"steps": 300, "evaluations": 6, **fields}), *parts)


@pytest.mark.parametrize("gpus", [0, 0.25, 1, 2.0, 4])
def test_a_budget_takes_fractions_of_a_gpu_or_whole_ones(gpus: float) -> None:
    assert Budget(steps=1, evaluations=1, gpus=gpus).gpus == gpus


# Successive halving


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"trials": 0}, ["ASHA.trials must be a whole number of at least 1, got 0"]),
        ({"trials": True}, ["got True"]),
        ({"trials": Integers(1, 9)}, ["only the fields of an Arm take ranges"]),
        ({"grace": 0}, ["ASHA.grace must be a fraction of the steps, a number above 0 and at most 1", "got 0"]),
        ({"grace": 1.1}, ["got 1.1"]),
        ({"grace": float("nan")}, ["got nan"]),
        ({"grace": "0.2"}, ["got '0.2'"]),
        ({"grace": Uniform(0.1, 0.7)}, ["got Uniform(0.1, 0.7); only the fields of an Arm take ranges"]),
        ({"reduction": 1}, ["ASHA.reduction must be a whole number of at least 2, got 1"]),
        ({"reduction": 2.5}, ["got 2.5"]),
        ({"smoothing": 0}, ["ASHA.smoothing must be a whole number of at least 1, got 0"]),
        ({"smoothing": 3.0}, ["got 3.0"]),
    ],
)
def test_asha_refuses(fields: dict[str, Any], parts: list[str]) -> None:
    refused(lambda: ASHA(**{"trials": 4, **fields}), *parts)


@pytest.mark.parametrize(
    ("steps", "evaluations", "warm_up", "grace", "reduction", "smoothing"),
    list(
        itertools.product(
            (20_000, 300, 7), (1, 6, 7), ("0", "0.05", "0.3"), ("0.1", "0.2", "0.25", "0.5", "1"), (2, 3, 4), (1, 3)
        )
    ),
)
def test_rungs_are_evaluations_at_grace_times_powers_of_the_reduction_after_the_warm_up(
    steps: int, evaluations: int, warm_up: str, grace: str, reduction: int, smoothing: int
) -> None:
    evaluated = Budget(steps=steps, evaluations=evaluations).evaluated_steps
    expected: set[int] = set()
    for number, step in enumerate(evaluated[:-1], start=1):
        warm = [other for other in evaluated[:number] if Fraction(other, steps) > Fraction(warm_up)]
        reached = {
            power
            for power in range(20)
            if Fraction(warm_up) + Fraction(grace) * reduction**power <= Fraction(step, steps)
        }
        before = [other for other in expected if other < step]
        passed = {
            power
            for other in before
            for power in range(20)
            if Fraction(warm_up) + Fraction(grace) * reduction**power <= Fraction(other, steps)
        }
        if len(warm) >= smoothing and reached - passed:
            expected.add(step)
    rungs = ASHA(trials=1, grace=float(grace), reduction=reduction, smoothing=smoothing).rungs(
        evaluated, float(warm_up)
    )
    assert rungs == tuple(sorted(expected))


@pytest.mark.parametrize(
    ("steps", "grace", "reduction", "rungs"),
    [
        (1000, 0.037, 3, (37, 111, 333, 999)),
        (1000, 0.001, 10, (1, 10, 100)),
        (10_000, 0.07, 10, (700, 7000)),  # 0.07 * 10 is 0.7000000000000001 in floats
        (30, 0.1, 3, (3, 9, 27)),  # 0.1 * 3 is 0.30000000000000004
    ],
)
def test_rungs_at_exact_powers_stand_at_their_own_step(
    steps: int, grace: float, reduction: int, rungs: tuple[int, ...]
) -> None:
    every_step = tuple(range(1, steps + 1))
    assert ASHA(trials=1, grace=grace, reduction=reduction, smoothing=1).rungs(every_step, 0.0) == rungs


@pytest.mark.parametrize(
    ("warm_up", "grace", "smoothing", "first"),
    [
        (0.0, 0.05, 1, 50),
        (0.0, 0.05, 3, 150),  # three evaluations, of which the first is at 50
        (0.0, 0.2, 3, 200),
        (0.1, 0.05, 1, 150),
        (0.1, 0.05, 3, 250),  # 100 still belongs to the warm-up: 150, 200 and 250 are compared
        (0.1, 0.2, 3, 300),
        (0.12, 0.2, 1, 350),
    ],
)
def test_the_first_rung_is_after_warm_up_and_grace_and_enough_evaluations(
    warm_up: float, grace: float, smoothing: int, first: int
) -> None:
    search = ASHA(trials=1, grace=grace, smoothing=smoothing)
    assert search.rungs(Budget(steps=1000, evaluations=20).evaluated_steps, warm_up)[0] == first


@pytest.mark.parametrize(("warm_up", "grace"), [(0.5, 0.5), (0.9, 0.2), (0.0, 1)])
def test_nothing_is_stopped_when_warm_up_and_grace_take_all_steps(warm_up: float, grace: float) -> None:
    assert ASHA(trials=1, grace=grace).rungs(Budget(steps=1000, evaluations=20).evaluated_steps, warm_up) == ()


def test_a_study_without_search_has_no_rungs() -> None:
    assert study().rungs == ()
    assert study(search=ASHA(trials=3, grace=0.5)).rungs == (150,)


def test_rungs_are_the_same_in_every_arm_and_after_the_longest_warm_up() -> None:
    arms = {"source only": Arm(SourceOnly), "adversarial": Arm(Adversarial, ramp=0.3), "FDA": Arm(FDA, warm_up=0.1)}
    budget, search = Budget(steps=1000, evaluations=20), ASHA(trials=3, grace=0.2)
    searched = study(arms, budget=budget, search=search)
    assert searched.warm_up == 0.3
    assert searched.rungs == (500, 700)
    assert study({"FDA": arms["FDA"]}, budget=budget, search=search).rungs == (300, 500, 900)


# A study


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"shift": town}, ["Study.shift must be a Shift"]),
        ({"budget": 300}, ["Study.budget must be a Budget, got 300"]),
        ({"recipe": Recipe}, ["Study.recipe must be a Recipe"]),
        ({"search": ASHA}, ["Study.search must be an ASHA or None", "write search=ASHA(trials=12)"]),
        ({"search": 12}, ["Study.search must be an ASHA or None, got 12"]),
        ({"seeds": 0}, ["Study.seeds must be a whole number of at least 1, got 0"]),
        ({"seeds": True}, ["got True"]),
        ({"seeds": 2.0}, ["got 2.0"]),
        ({"race_from": 1}, ["Study.race_from must be a whole number of at least 2, got 1"]),
        ({"race_from": 5}, ["Study.race_from must be less than seeds, which is 5, got 5", "leave race_from out"]),
        ({"race_from": "3"}, ["Study.race_from must be a whole number of at least 2, got '3'"]),
        ({"seeds": Integers(1, 3)}, ["got Integers(1, 3); only the fields of an Arm take ranges"]),
        ({"select": "source/mioo"}, ["got 'source/mioo'", "Did you mean 'source/miou'?"]),
        ({"select": "target/miou"}, ["Study.select must be one of source/miou, source/accuracy, target/entropy"]),
        ({"select": OneOf("a", "b")}, ["Study.select must be one of"]),
        ({"reference": "source"}, ["'source only'", "got 'source'", "Did you mean 'source only'?"]),
        (
            {"arms": {"source only": Arm(FDA), "late": Arm(FDA).after("soon")}},
            ["arm 'late': what it comes after must be one of the arms, 'source only', got 'soon'"],
        ),
        (
            {"recipe": Recipe(batch_norm="domain-specific")},
            [
                'batch_norm="domain-specific" needs methods that see source and target',
                'give the row batch_norm="mixed"',
            ],
        ),
        (
            {"arms": {"source only": Arm(SourceOnly, batch_norm=OneOf("mixed", "domain-specific"))}},
            ["arm 'source only': batch_norm=", "SourceOnly reads source; give the row"],
        ),
        ({"reference": None}, ["Study.reference must be one of the arms"]),
        ({"reference": ["source only"]}, ["Study.reference must be one of the arms"]),
        ({"arms": {}}, ["Study.arms must map at least one name to an Arm"]),
        ({"arms": [Arm(FDA)]}, ["Study.arms must map at least one name to an Arm"]),
        ({"arms": {"FDA": FDA}}, ["arm 'FDA' must be an Arm", "write Arm(FDA, beta=0.01)"]),
        (
            {"arms": {"ours": {"ours": Arm(FDA), "ours bare": Arm(SourceOnly)}}},
            ["arm 'ours' must be an Arm, got 2 of them by their names; write **ablate(...)"],
        ),
        ({"arms": {"FDA": Arm(FDA), 3: Arm(FDA)}}, ["an arm's name must be one line of text, got 3"]),
        ({"arms": {" ": Arm(FDA)}}, ["an arm's name must be one line of text, got ' '"]),
        ({"arms": {"a\nb": Arm(FDA)}}, ["an arm's name must be one line of text"]),
        ({"arms": {"FDA": Arm(FDA), "fda ": Arm(FDA)}}, ["must differ by more than case and blanks: 'FDA' and 'fda '"]),
        ({"arms": {"FDA": Arm(FDA, beta=Uniform(0, 0.1))}}, ["arm 'FDA' has ranges", "search=ASHA(trials=12)"]),
    ],
)
def test_a_study_refuses(changes: dict[str, Any], parts: list[str]) -> None:
    refused(lambda: study(**changes), *parts)


@pytest.mark.parametrize(
    ("arm", "trials", "holds_default"),
    [
        (Arm(FDA), 0, True),
        (Arm(FDA, learning_rate=LogUniform(1e-3, 0.1)), 12, True),
        (Arm(FDA, learning_rate=LogUniform(0.05, 0.1)), 12, False),
        (Arm(FDA, beta=LogUniform(0.01, 0.1)), 7, True),  # bands 0 to 6 of 64 pixels
        (Arm(FDA, beta=LogUniform(0.05, 0.1)), 5, False),  # bands 3 to 6, and the default's band 0
        (Arm(FDA, beta=LogUniform(0.01, 0.1), learning_rate=LogUniform(1e-3, 0.1)), 12, True),
        (Arm(FDA, beta=OneOf(0.01, 0.012, 0.05)), 2, True),  # 0.01 and 0.012 are band 0
        (Arm(Adversarial, separable=OneOf(False, True), width=OneOf(32, 64)), 4, True),
        (Arm(Adversarial, separable=OneOf(False, True), width=OneOf(16, 32)), 5, False),
        (Arm(Adversarial, width=Integers(1, 10**9)), 12, True),
    ],
)
def test_an_arm_gets_as_many_trials_as_it_has_different_points(arm: Arm, trials: int, holds_default: bool) -> None:
    planned = study({"row": arm}, search=SEARCH)
    assert planned.row("row").search_trials == trials
    assert (not planned.row("row").defaults_outside) == holds_default


def test_the_defaults_of_what_is_searched_are_the_methods_and_the_studys_recipe() -> None:
    arm = Arm(FDA, beta=LogUniform(0.05, 0.1), eta=1.0, learning_rate=LogUniform(1e-3, 0.1))
    planned = study({"row": arm}, search=SEARCH, recipe=Recipe(learning_rate=0.007))
    assert planned.row("row").defaults == {"beta": 0.01, "learning_rate": 0.007}


def test_a_trial_holds_every_field_and_what_it_means_at_the_shifts_size() -> None:
    shift = gta5_to_cityscapes(size=(512, 1024))
    arm = Arm(FDA, beta=LogUniform(0.01, 0.1), batch=8)
    planned = study({"row": arm}, shift=shift, search=SEARCH, recipe=Recipe(momentum=0.5))
    trial = planned.row("row").trial({"beta": 0.05}, SEARCH_SEED, {"name": "pair"})
    assert trial.method == "FDA"
    assert FDA(**trial.hyperparameters) == FDA(beta=0.05)
    network = repr(BiSeNet18())
    assert trial.recipe == vars(Recipe(momentum=0.5, batch=8)) | {"network": network}
    assert trial.resolved == {"beta": {"band": 25}}
    assert (trial.seed, trial.steps, trial.evaluations, trial.shift) == (0, 300, 6, {"name": "pair"})


def test_a_row_whose_steps_do_nothing_is_evaluated_once_unless_it_is_searched() -> None:
    arms = {
        "FDA": Arm(FDA),
        "source only": Arm(SourceOnly),
        "vote": Arm(MajorityVote).after("FDA", "source only"),
        "searched": Arm(MajorityVote, batch=OneOf(2, 4)).after("FDA", "source only"),
    }
    planned = study(arms, search=SEARCH)
    evaluated = {row.name: row.trial({}, 1, {}).evaluated_steps for row in planned.rows}
    every = BUDGET.evaluated_steps
    assert evaluated == {"FDA": every, "source only": every, "vote": (300,), "searched": every}


def test_whole_and_real_numbers_of_one_value_are_one_trial() -> None:
    whole = study({"whole": Arm(Adversarial, lambda_adv=0)})
    real = study({"real": Arm(Adversarial, lambda_adv=0.0)})
    assert whole.row("whole").trial({}, 1, {}).id == real.row("real").trial({}, 1, {}).id


def test_an_arm_has_a_share_of_its_own_and_threads_for_its_cpus() -> None:
    wide = Arm(FDA).on(gpus=1, cpus=2).on(memory=8)
    planned = study(
        {"plain": Arm(FDA), "wide": pickle.loads(pickle.dumps(wide))}, budget=dataclasses.replace(BUDGET, gpus=0.5)
    )
    assert planned.row("plain").slot == Slot(cpus=1, gpus=0.5, memory=0)
    assert planned.row("wide").slot == Slot(cpus=2, gpus=1, memory=8)
    assert [row.trial({}, 1, {}).threads for row in planned.rows] == [1, 2]
    refused(lambda: Arm(FDA).on(gpus=1.5), "Share.gpus must be at least 0, and a whole number from 1 on, got 1.5")
    refused(lambda: Arm(FDA).on(cpus=0), "Share.cpus must be a whole number of at least 1, got 0")
    nothing: Any = None
    refused(
        lambda: Budget(steps=1, evaluations=1, memory=nothing),
        "Budget.memory must be a number of at least 0, in GiB, got None",
    )


def test_an_arm_costs_what_its_networks_cost() -> None:
    arms = {
        "source only": Arm(SourceOnly),
        "full": Arm(Adversarial),
        "light": Arm(Adversarial, separable=True),
        "target": Arm(TargetSupervised, network=BiSeNet18(width=0.25)),
    }
    planned = study(arms)
    assert planned.row("source only").cost.parameters == 12_581_672
    assert planned.row("source only").cost.discriminator_parameters == 0
    assert planned.row("full").cost.discriminator_parameters == 2_781_121
    assert planned.row("light").cost.discriminator_parameters == 191_364
    assert planned.row("target").cost.parameters < 1_000_000
