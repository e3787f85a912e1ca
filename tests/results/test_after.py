"""Rows that come after others in the table: their hours, their dagger, the labels that they know."""

import csv
import dataclasses
import io

import pytest

from platform.design.header import header
from platform.methods import AdaBN, SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.records.record import Ask, End, Record, Report, StudyHeader
from platform.records.trial import confirm_seed
from platform.results.report import comma_separated, wording
from platform.results.table import Table
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study
from tests.support.seen_alike import tabulate

STUDY = Study(
    shift=town(size=(64, 64)),
    arms={
        "source only": Arm(SourceOnly),
        "AdaBN": Arm(AdaBN).after("source only"),
        "AdaBN twice": Arm(AdaBN).after("AdaBN"),
        "supervised": Arm(TargetSupervised),
        "after supervised": Arm(AdaBN).after("supervised"),
    },
    reference="source only",
    select="source/miou",
    budget=Budget(steps=4, evaluations=2),
    seeds=1,
    recipe=Recipe(network=BiSeNet18(width=0.125)),
)
HEADER = header(STUDY, "small", "", {"size": [64, 64], "name": "town", "groups": [[0], [1]]}, "", "")
HOURS = {name: 2.0**number for number, name in enumerate(STUDY.arms)}


def table(head: StudyHeader = HEADER) -> Table:
    asks, records = [], {}
    for arm, row in zip(STUDY.arms, STUDY.rows, strict=True):
        trial = row.trial({}, confirm_seed(0), {}, tuple(f"start of {arm}" for _ in row.given))
        asks.append(Ask(arm, "confirm", 0, trial))
        report = Report(4, 3600 * HOURS[arm], {}, {"target/test": [[3, 1, 0], [1, 3, 0], [0, 0, 0]]})
        records[trial.id] = Record(trial, {}, {}, (report,), End("complete", None, "", 4))
    return tabulate(head, asks, records)


def test_the_hours_of_a_row_contain_those_of_the_rows_that_it_comes_after() -> None:
    found = {row.arm: row.effort.hours for row in table().rows}
    assert found == {
        "source only": 1,
        "AdaBN": 1 + 2,
        "AdaBN twice": 1 + 2 + 4,
        "supervised": 8,
        "after supervised": 8 + 16,
    }


def test_a_row_after_an_upper_bound_is_one() -> None:
    marked = [row.arm for row in table().rows if "†" in wording.name(row)]
    assert marked == ["supervised", "after supervised"]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (["source only"], "source only"),
        (["source only", "supervised"], "source only and supervised"),
        (["source only", "supervised", "after supervised"], "source only, supervised and after supervised"),
        (["source only", "supervised, twice"], "source only and 'supervised, twice'"),
    ],
)
def test_a_row_says_whose_runs_it_begins_from(after: list[str], said: str) -> None:
    arms = tuple(dataclasses.replace(arm, after=tuple(after) if arm.name == "AdaBN" else ()) for arm in HEADER.arms)
    lines = wording.reading(table(dataclasses.replace(HEADER, arms=arms)))
    assert f"AdaBN begins from the runs of {said}, seed by seed." in lines


def test_a_row_says_how_many_target_labels_it_knows() -> None:
    arms = tuple(dataclasses.replace(arm, few=7 if arm.name == "AdaBN" else 0) for arm in HEADER.arms)
    said = wording.reading(table(dataclasses.replace(HEADER, arms=arms)))
    assert [line for line in said if "labels of" in line] == ["AdaBN trains on the labels of 7 target images."]


def test_the_csv_says_what_a_row_begins_from_and_how_many_target_labels_it_knows() -> None:
    arms = tuple(dataclasses.replace(arm, few=7 if arm.name == "AdaBN" else 0) for arm in HEADER.arms)
    text = comma_separated.render(table(dataclasses.replace(HEADER, arms=arms)))
    found = [(line["arm"], line["after"], line["few"]) for line in csv.DictReader(io.StringIO(text))]
    assert found[:3] == [
        ("source only", "", "0"),
        ("AdaBN", "source only", "7"),
        ("AdaBN twice", "AdaBN", "0"),
    ]
