"""What is said of a searched field comes from the search trials that ended, by the row's selector."""

import dataclasses
from typing import Any

import pytest

from platform.design.ranges import Integers, LogUniform, OneOf
from platform.networks import BiSeNet18
from platform.records.record import Ask, Record, StudyHeader
from platform.results.responses.fields import LEAST_TRIALS, SearchedField, is_logarithmic, searched_fields
from tests.support.invented_study import ARMS, arm, ask, failed, record, stopped, study
from tests.support.seen_alike import runs_by_arm

RATE = "LogUniform(0.001, 0.1)"
Search = tuple[StudyHeader, list[Ask], dict[str, Record]]


def searched(
    ranges: dict[str, str],
    values: list[dict[str, Any]],
    name: str = "adversarial",
    chosen: dict[str, Any] | None = None,
) -> Search:
    """A row whose search trials had these values, each better than the one before, and that has chosen some of them."""
    header = study(arm(name, searched=ranges), search_trials=len(values), seeds=1)
    asks = [_ask(header, name, "search", number, each) for number, each in enumerate(values)]
    asks += [] if chosen is None else [_ask(header, name, "confirm", 0, chosen)]
    records = {each.trial.id: record(each, 0.3 + 0.02 * each.number) for each in asks}
    return header, asks, records


def _ask(header: StudyHeader, name: str, phase: Any, number: int, values: dict[str, Any]) -> Ask:
    own = ARMS[name][1]
    return ask(
        header,
        name,
        phase,
        number,
        hyperparameters=own | {field: value for field, value in values.items() if field in own},
        recipe={"learning_rate": 0.02, "batch": 4, "number": number} | values,
    )


def fields_of(made: Search) -> dict[str, SearchedField]:
    header = made[0]
    return {each.field: each for each in searched_fields(header, runs_by_arm(*made))}


def rates(number: int) -> list[dict[str, Any]]:
    return [{"learning_rate": 0.001 * 1.5**place} for place in range(number)]


def test_complete_trials_are_told_from_stopped_ones_and_failed_ones_are_left_out() -> None:
    header, asks, records = searched({"learning_rate": RATE}, rates(4), chosen={"learning_rate": 0.001 * 1.5})
    records[asks[2].trial.id], records[asks[3].trial.id] = stopped(asks[2]), failed(asks[3])
    found = fields_of((header, asks, records))["learning_rate"]
    complete, ended = [records[each.trial.id] for each in asks[:2]], records[asks[2].trial.id]
    assert [(mark.value, mark.score) for mark in found.complete] == [
        (each.trial.recipe["learning_rate"], each.reports[-1].metrics["source/miou"]) for each in complete
    ]
    assert [(mark.value, mark.score) for mark in found.stopped] == [
        (0.001 * 1.5**2, ended.reports[1].metrics["source/miou"])
    ]
    assert (found.default, found.chosen, found.selector) == (0.001, 0.001 * 1.5, "source/miou")


def test_an_upper_bound_is_judged_by_its_own_selector() -> None:
    made = searched({"learning_rate": RATE}, rates(2), "target supervised")
    found = fields_of(made)["learning_rate"]
    assert (found.selector, found.supervised) == ("oracle/miou", True)
    last = [made[2][each.trial.id].reports[-1].metrics["oracle/miou"] for each in made[1]]
    assert [mark.score for mark in found.complete] == last


def test_a_response_takes_enough_complete_trials_and_runs_from_end_to_end_of_the_range() -> None:
    found = fields_of(searched({"learning_rate": RATE}, rates(LEAST_TRIALS)))["learning_rate"]
    assert found.response is not None
    assert (found.at[0], found.at[-1]) == pytest.approx((0.001, 0.1))
    assert found.at[len(found.at) // 2] == pytest.approx(0.01), "the middle of the logarithms"
    assert len(found.response.mean) == len(found.at)
    fewer = fields_of(searched({"learning_rate": RATE}, rates(LEAST_TRIALS - 1)))["learning_rate"]
    assert (fewer.response, fewer.at) == (None, ())


def test_stopped_trials_are_of_no_fit() -> None:
    header, asks, records = searched({"learning_rate": RATE}, rates(LEAST_TRIALS + 3))
    for each in asks[LEAST_TRIALS:]:
        records[each.trial.id] = stopped(each, 0.9)
    found = fields_of((header, asks, records))["learning_rate"]
    kept = asks[:LEAST_TRIALS]
    alone = fields_of((header, kept, {each.trial.id: records[each.trial.id] for each in kept}))["learning_rate"]
    assert found.response == alone.response


def test_a_default_outside_of_the_range_is_shown_and_of_no_fit() -> None:
    values = [{"learning_rate": 0.5}, *rates(LEAST_TRIALS)]
    header, asks, records = searched({"learning_rate": RATE}, values)
    found = fields_of((header, asks, records))["learning_rate"]
    assert found.default == 0.5
    assert found.complete[0].value == 0.5
    inside = fields_of((header, asks[1:], records))["learning_rate"]
    assert found.response == inside.response


def test_rows_of_one_field_have_no_importance_and_say_that_they_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.search.importance.ped_anova.SHUFFLES", 3)
    two = {"learning_rate": RATE, "lambda_adv": "LogUniform(0.0001, 0.1)"}
    values = [{"learning_rate": 0.001 * 1.2**n, "lambda_adv": 0.0001 * 1.37 ** (n * 7 % 20)} for n in range(20)]
    found = fields_of(searched(two, values))
    assert found["learning_rate"].importance is not None
    assert found["lambda_adv"].importance is not None
    assert found["learning_rate"].importance.share > found["lambda_adv"].importance.share
    one = fields_of(searched({"learning_rate": RATE}, values))
    assert (one["learning_rate"].importance, one["learning_rate"].alone) == (None, True)
    assert fields_of(searched(two, values[:-1]))["learning_rate"].importance is None, "too few"


def test_listed_values_have_a_response_each_and_networks_are_their_calls() -> None:
    networks = OneOf(BiSeNet18(width=0.25), BiSeNet18(width=0.5))
    calls = [repr(each) for each in networks.values]
    values = [{"network": calls[number % 2]} for number in range(8)]
    found = fields_of(searched({"network": str(networks)}, values, chosen=values[1]))["network"]
    assert found.response is not None
    assert found.at == tuple(calls)
    assert (found.default, found.chosen, len(found.complete)) == (calls[0], calls[1], 8)


@pytest.mark.parametrize("value", [None, "high", [1], True, -1.0, 0])
def test_a_strangers_value_that_no_scale_can_show_is_left_out(value: Any) -> None:
    values = [{"lambda_adv": value}, {"lambda_adv": 0.001}, {"lambda_adv": 0.01}]
    found = fields_of(searched({"lambda_adv": "LogUniform(0.0001, 0.1)"}, values))["lambda_adv"]
    assert (len(found.complete), found.default) == (2, None)


def test_a_strangers_range_that_says_nothing_and_a_selector_that_has_judged_nothing_are_left_out() -> None:
    assert fields_of(searched({"learning_rate": "what you like"}, rates(2))) == {}
    header, asks, records = searched({"learning_rate": RATE}, rates(2))
    other = dataclasses.replace(header, arms=(dataclasses.replace(header.arms[0], select="target/unknown"),))
    assert fields_of((other, asks, records))["learning_rate"].complete == ()


def test_nothing_is_said_before_anything_ran() -> None:
    found = fields_of((study(arm("FDA")), [], {}))["learning_rate"]
    assert (found.complete, found.stopped, found.default, found.chosen, found.response) == ((), (), None, None, None)


def test_scales_are_those_of_the_ranges() -> None:
    ranges = (LogUniform(1, 2), Integers(1, 9, log=True), Integers(1, 9), OneOf(1, 2))
    assert [is_logarithmic(range_) for range_ in ranges] == [True, True, False, False]


def test_a_row_that_takes_another_ones_values_searches_nothing() -> None:
    header, asks, records = searched({"learning_rate": RATE}, [{"learning_rate": 0.01}, {"learning_rate": 0.02}])
    lent = dataclasses.replace(arm("FDA", searched={"learning_rate": RATE}), tuned_as="adversarial", search_trials=0)
    both = dataclasses.replace(header, arms=(*header.arms, lent))
    assert [field.arm for field in searched_fields(both, runs_by_arm(both, asks, records))] == ["adversarial"]
