"""What records say of a search space is what the search saw."""

import dataclasses
from typing import Any

import pytest

from platform.design.header import header
from platform.methods import FDA, Adversarial
from platform.networks import BiSeNet18
from platform.records.record import ArmHeader
from platform.records.trial import Trial
from platform.search.proposals import point
from platform.search.space import distribution, recorded_dimensions
from platform.study import Arm, Integers, LogUniform, OneOf, Uniform
from tests.support.planned_study import study

SEARCHED: dict[str, tuple[Arm, list[dict[str, Any]]]] = {
    "continua": (
        Arm(Adversarial, lambda_adv=LogUniform(1e-4, 1e-1), momentum=Uniform(0.5, 0.95)),
        [{}, {"lambda_adv": 0.02, "momentum": 0.6}],
    ),
    "whole numbers and texts": (
        Arm(Adversarial, width=Integers(8, 64, log=True), separable=OneOf(False, True), batch=OneOf(2, 4)),
        [{}, {"width": 16, "separable": True, "batch": 2}],
    ),
    "through an integer": (Arm(FDA, beta=LogUniform(0.01, 0.1)), [{}, {"beta": 0.05}, {"beta": 0.0511}, {"beta": 0.1}]),
    "listed, through an integer": (Arm(FDA, beta=OneOf(0.01, 0.05, 0.09)), [{}, {"beta": 0.05}]),
    "evenly, through an integer": (Arm(FDA, beta=Uniform(0.01, 0.1)), [{}, {"beta": 0.05}]),
    "networks": (
        Arm(FDA, network=OneOf(BiSeNet18(), BiSeNet18(width=0.5))),
        [{}, {"network": repr(BiSeNet18(width=0.5))}],
    ),
    "a default outside": (Arm(Adversarial, lambda_adv=LogUniform(1e-2, 1e-1)), [{}, {"lambda_adv": 0.05}]),
}


def recorded(name: str) -> tuple[Any, ArmHeader, list[Trial]]:
    arm, values = SEARCHED[name]
    planned = study(arms={"row": arm}, reference="row")
    row = planned.row("row")
    return row, header(planned, "a", "", {}, "", "").arms[0], [row.trial(each, 0, {}) for each in values]


@pytest.mark.parametrize("name", SEARCHED)
def test_records_tell_what_the_search_saw(name: str) -> None:
    row, told, trials = recorded(name)
    found = recorded_dimensions(told, trials)
    assert list(found) == list(row.dimensions)
    for field, dimension in found.items():
        assert distribution(dimension) == distribution(row.dimensions[field])
    for trial in trials:
        assert point(found, trial.values(found)) == point(row.dimensions, trial.values(found))


def test_records_of_an_earlier_version_know_no_integers() -> None:
    row, told, trials = recorded("through an integer")
    found = recorded_dimensions(dataclasses.replace(told, integers={}), trials)
    assert distribution(found["beta"]) == distribution(dataclasses.replace(row.dimensions["beta"], integer=None))
    assert point(found, trials[1].values(found)) == {"beta": 0.05}


def test_what_is_no_range_is_left_out() -> None:
    _, told, trials = recorded("continua")
    changed = dataclasses.replace(told, searched=told.searched | {"momentum": "anything else"})
    assert list(recorded_dimensions(changed, trials)) == ["lambda_adv"]
