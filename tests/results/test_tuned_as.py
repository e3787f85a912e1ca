"""Rows that take another's values, in the table and where another selector chooses."""

import dataclasses
from pathlib import Path

import pytest

from platform.records.record import Ask, Record, StudyHeader
from platform.records.store import Store
from platform.results.report import markdown, terminal, wording
from platform.results.reselection import reselected
from tests.support import invented_study as invented
from tests.support.seen_alike import by_arm, tabulate
from tests.support.tabulated import row

METRIC = {"source/miou": (1, 9, 2, 3), "source/accuracy": (3, 2, 7, 1)}
"""What FDA's search trials report: the study's selector has chosen the second, another one chooses the third."""


def tuned() -> tuple[StudyHeader, list[Ask], dict[str, Record]]:
    """A study of FDA, and of what is tuned as it with another momentum, in front of it."""
    header = invented.study(*(invented.arm(name) for name in ("FDA too", "FDA")), seeds=2)
    too, fda = header.arms
    header = dataclasses.replace(header, arms=(dataclasses.replace(too, tuned_as="FDA", search_trials=0), fda))
    asks = [invented.ask(header, "FDA", "search", number) for number in range(4)]
    asks += [invented.ask(header, "FDA", "confirm", number) for number in range(2)]
    for number in range(2):
        ask = invented.ask(header, "FDA too", "confirm", number)
        asks.append(
            dataclasses.replace(ask, trial=dataclasses.replace(ask.trial, recipe=ask.trial.recipe | {"momentum": 0.5}))
        )
    records = {}
    for ask in asks:
        made = invented.record(ask)
        if ask.phase == "search":
            told = {name: float(values[ask.number]) for name, values in METRIC.items()}
            last = dataclasses.replace(made.reports[-1], metrics=made.reports[-1].metrics | told)
            made = dataclasses.replace(made, reports=(*made.reports[:-1], last))
        records[ask.trial.id] = made
    return header, asks, records


def test_the_table_says_whose_values_a_row_has() -> None:
    table = tabulate(*tuned())
    assert row(table, "FDA").tuned == "learning_rate=0.02"
    assert row(table, "FDA too").tuned == "as FDA: learning_rate=0.02"
    assert "FDA too takes the values that the search of FDA has chosen." in wording.reading(table)
    assert not any(said.startswith("FDA takes") for said in wording.reading(table))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (2, "row 0 and row 1 take the values that the search of FDA has chosen."),
        (3, "row 0, row 1 and row 2 take the values that the search of FDA has chosen."),
        (5, "row 0, row 1 and 3 more rows take the values that the search of FDA has chosen."),
    ],
)
def test_many_rows_are_told_in_one_sentence(rows: int, said: str) -> None:
    header, asks, records = tuned()
    too, fda = header.arms
    arms = (*(dataclasses.replace(too, name=f"row {number}") for number in range(rows)), fda)
    table = tabulate(dataclasses.replace(header, arms=arms, reference="FDA"), asks[:6], records)
    assert [line for line in wording.reading(table) if "has chosen" in line] == [said]


def test_the_search_whose_values_a_row_takes_stands_behind_its_scores_and_counts_once_for_the_study() -> None:
    header, asks, records = tuned()
    after = dataclasses.replace(header.arms[0], name="after", tuned_as="", searched={}, after=("FDA too",))
    last = [dataclasses.replace(invented.ask(header, "after", "confirm", number), arm="after") for number in range(2)]
    records |= {ask.trial.id: invented.record(ask) for ask in last}
    table = tabulate(dataclasses.replace(header, arms=(*header.arms, after), reference="FDA"), [*asks, *last], records)
    hour = sum(report.seconds for report in records[asks[0].trial.id].reports) / 3600
    behind = {"FDA": 4 + 2, "FDA too": 4 + 2, "after": 4 + 2 + 2}
    for arm, trials in behind.items():
        assert row(table, arm).effort.hours == pytest.approx(trials * hour)
        assert row(table, arm).fairness.hours_behind.cpu == pytest.approx(trials * hour)
    own = [row(table, arm).fairness.hours.total.cpu for arm in behind]
    assert own == pytest.approx([6 * hour, 2 * hour, 2 * hour])
    page = markdown.render(table)
    assert f"| all | 0 | {sum(own):.3g} |" in page
    assert f"| FDA too | yes | none | none | 0 | {2 * hour:.3g} CPU | 0 | {6 * hour:.3g} CPU | 2 evaluations |" in page
    assert "of rows that it begins from or is tuned as too" in " ".join(terminal.render(table).split())


def test_where_the_lender_has_not_ended_its_search_the_row_has_no_equal_budget() -> None:
    header, asks, records = tuned()
    header = dataclasses.replace(header, reference="FDA")
    assert row(tabulate(header, asks, records), "FDA too").fairness.equal
    records.pop(asks[3].trial.id)
    assert row(tabulate(header, asks, records), "FDA too").fairness.why == (
        "1 of 4 search trials of FDA, on which it rests, have not ended",
    )


@pytest.mark.parametrize(("metric", "rate"), [("source/miou", 0.02), ("source/accuracy", 0.03)])
def test_where_another_selector_chooses_the_row_has_that_choice_and_its_own_settings(
    tmp_path: Path, metric: str, rate: float
) -> None:
    header, asks, records = tuned()
    found = reselected(Store(tmp_path), header, asks, by_arm(asks, records), metric, "")
    for arm, momentum in (("FDA too", 0.5), ("FDA", 0.9)):
        confirmed = [ask.trial for ask in found.asks if (ask.arm, ask.phase) == (arm, "confirm")]
        assert [trial.seed for trial in confirmed] == [1, 2]
        assert {(trial.recipe["learning_rate"], trial.recipe["momentum"]) for trial in confirmed} == {(rate, momentum)}
    said = [note for note in found.notes if note.startswith("FDA too: another configuration is chosen")]
    assert len(said) == (metric == "source/accuracy")


def test_where_the_other_row_chose_nothing_the_row_has_no_trial(tmp_path: Path) -> None:
    header, asks, records = tuned()
    for ask in asks:
        if ask.phase == "search":
            records[ask.trial.id] = invented.failed(ask)
    found = reselected(Store(tmp_path), header, asks, by_arm(asks, records), "source/miou", "")
    assert [ask for ask in found.asks if ask.phase == "confirm"] == []
