"""The difference of two rows: paired where a seed means the same on both sides, else of two samples."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from platform.results.against.score import Half, draw_alike, gap, of_trial
from platform.scores import metrics
from platform.shifts.labels import SINGLE_CLASSES
from tests.support import invented_study as invented

HEADER = invented.HEADER


def half(miou: dict[int, float], provenance: dict[str, str] | None = None, **changes: Any) -> Half:
    """A row of the FDA arm with these scores, by seed."""
    asks = [invented.ask(HEADER, "FDA", "confirm", seed - 1, **changes) for seed in miou or (1,)]
    records = [dataclasses.replace(invented.begun(ask), provenance=provenance or {}) for ask in asks]
    return Half("FDA", asks[0].trial, tuple(records), miou)


def scores(seed: int, number: int) -> dict[int, float]:
    random = np.random.default_rng(seed)
    return {position + 1: float(value) for position, value in enumerate(random.normal(0.3, 0.02, number))}


RECIPE = half({1: 0.0}).trial.recipe  # type: ignore[union-attr]


@pytest.mark.parametrize("number", [2, 3, 5])
def test_a_seed_that_means_the_same_is_paired(number: int) -> None:
    """Another learning rate, and other steps, leave initial weights and the order of data as they are."""
    one, two = scores(0, number), scores(1, number)
    found = gap(half(one), half(two, recipe=RECIPE | {"learning_rate": 0.01}, steps=800), same_draws=True)
    interval = stats.ttest_rel([*one.values()], [*two.values()]).confidence_interval(0.95)
    assert (found.miou - found.half_width, found.miou + found.half_width) == pytest.approx(tuple(interval))
    assert (found.way, found.seeds, found.why) == ("paired", (number, number), "")


def test_only_seeds_that_both_have_are_paired() -> None:
    one, two = scores(0, 5), scores(1, 3)
    found = gap(half(one), half(two, steps=800), same_draws=True)
    assert found.miou == pytest.approx(np.mean([one[seed] - two[seed] for seed in two]))
    assert found.seeds == (3, 3)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"recipe": RECIPE | {"batch": 8}}, "another batch"),
        ({"recipe": RECIPE | {"network": "BiSeNet18(width=0.5)"}}, "another network"),
        ({"shift": HEADER.shift | {"size": [96, 128]}}, "other images"),
        ({"shift": HEADER.shift | {"seed": 1}}, "other images"),
    ],
)
def test_a_seed_that_means_something_else_is_not_paired(changes: dict[str, Any], why: str) -> None:
    one, two = scores(0, 3), scores(1, 5)
    found = gap(half(one), half(two, **changes), same_draws=True)
    low, high = stats.ttest_ind([*one.values()], [*two.values()], equal_var=False).confidence_interval(0.95)
    assert (found.miou - found.half_width, found.miou + found.half_width) == pytest.approx((low, high))
    assert (found.way, found.seeds, found.why) == ("Welch", (3, 5), why)


def test_classes_that_are_scored_and_labels_that_are_granted_change_no_draw() -> None:
    shift = HEADER.shift | {"groups": [[0], [1]], "few": 8}
    assert gap(half(scores(0, 3)), half(scores(1, 3), shift=shift), same_draws=True).way == "paired"


def test_other_code_may_draw_otherwise() -> None:
    found = gap(half(scores(0, 3)), half(scores(1, 3), code="another"), same_draws=False)
    assert (found.way, found.why) == ("Welch", "other code, which may draw otherwise")


def test_seeds_that_are_not_shared_are_two_samples() -> None:
    found = gap(half({1: 0.2, 2: 0.3}), half({2: 0.4, 3: 0.1}, steps=800), same_draws=True)
    assert (found.way, found.why) == ("Welch", "they share fewer than two seeds")


def test_one_run_each_gives_no_interval() -> None:
    found = gap(half({1: 0.2}), half({1: 0.3}, steps=800), same_draws=True)
    assert found.way == "one run each"
    assert found.miou == pytest.approx(-0.1)
    assert math.isnan(found.half_width)
    assert not found.told


def test_a_side_without_scores_gives_no_difference() -> None:
    found = gap(half(scores(0, 3)), half({}), same_draws=True)
    assert (found.way, found.seeds) == ("no score", (3, 0))
    assert math.isnan(found.miou)
    assert not found.told


def test_trials_of_the_same_ids_are_named_as_such() -> None:
    found = gap(half(scores(0, 3)), half(scores(0, 3)), same_draws=True)
    assert (found.way, found.miou, found.half_width) == ("same trials", 0.0, 0.0)


def test_more_seeds_of_the_same_row_are_no_difference() -> None:
    found = gap(half(scores(0, 3)), half(scores(0, 5)), same_draws=True)
    assert (found.way, found.miou, found.seeds) == ("same trials", 0.0, (3, 5))
    assert math.isnan(found.p)


NOTED = {"git_commit": "0123abc", "torch": "2.9.0"}


@pytest.mark.parametrize(
    ("one", "two", "code", "alike"),
    [
        ({}, {}, "0123456789ab", True),
        (NOTED, NOTED, "another", True),
        (NOTED, NOTED | {"git_commit": "fedcba9"}, "another", False),
        (NOTED, NOTED | {"torch": "2.8.0"}, "another", False),
        (NOTED | {"git_commit": "0123abc+"}, NOTED | {"git_commit": "0123abc+"}, "another", False),
        ({}, {}, "another", False),
        ({"torch": "2.9.0"}, {"torch": "2.9.0"}, "another", False),
    ],
)
def test_code_draws_alike_where_it_is_known_to_be_the_same(
    one: dict[str, str], two: dict[str, str], code: str, alike: bool
) -> None:
    assert draw_alike(half({1: 0.3}, one), half({1: 0.3}, two, code=code)) is alike


def test_a_trial_is_scored_as_a_table_scores_it() -> None:
    record = invented.record(invented.ask(HEADER, "FDA", "confirm", 0))
    expected = metrics.cityscapes(record.reports[-1].confusions["target/test"], SINGLE_CLASSES).miou
    assert of_trial(record) == {1: expected}
    searched = invented.record(invented.ask(HEADER, "FDA", "search", 0))
    assert of_trial(searched) == {0: searched.reports[-1].metrics["oracle/miou"]}


@pytest.mark.parametrize("groups", [None, [], [[]], "road", [["road"]], [[99]], [5], [[True]]])
def test_a_trial_whose_classes_are_none_has_no_score(groups: object) -> None:
    shift = HEADER.shift | {"groups": groups}
    assert of_trial(invented.record(invented.ask(HEADER, "FDA", "confirm", 0, shift=shift))) == {}


def test_a_trial_that_has_not_ended_has_no_score() -> None:
    ask = invented.ask(HEADER, "FDA", "confirm", 0)
    assert of_trial(invented.begun(ask, [invented.report(ask, 400)])) == {}
    assert of_trial(invented.failed(ask)) == {}
