"""The ledger of fairness against counts of its own over the records, and whether a budget is the reference's."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import pytest

from platform.records.record import ArmHeader, Ask, Record, Report, StudyHeader
from platform.results.fairness.ledger import Fairness
from platform.results.report import comma_separated, markdown
from platform.results.table import Table
from tests.support.invented_study import STEPS, arm, ask, failed, full, made, mishaps, record, stopped, study
from tests.support.seen_alike import tabulate
from tests.support.tabulated import row, two_arms


def entry(table: Table, name: str) -> Fairness:
    return row(table, name).fairness


def header_of(*arms: ArmHeader, **changes: Any) -> StudyHeader:
    """A header whose arms stay as they are."""
    return dataclasses.replace(study(*arms, **changes), arms=arms)


def table_of(header: StudyHeader) -> Table:
    """The table of a study that ran to its end."""
    return tabulate(header, *full(header, dict.fromkeys((each.name for each in header.arms), 0.5)))


def with_reports(record: Record, **changes: Any) -> Record:
    reports = tuple(dataclasses.replace(report, **changes) for report in record.reports)
    return dataclasses.replace(record, reports=reports)


def test_trials_and_steps_are_those_on_record() -> None:
    _, asks, records, table = mishaps()
    for each in table.rows:
        found = each.fairness
        search = [records[a.trial.id] for a in asks if (a.arm, a.phase) == (each.arm, "search")]
        confirm = [records[a.trial.id] for a in asks if (a.arm, a.phase) == (each.arm, "confirm")]
        states = [run.end.state for run in search if run.end]
        assert found.trials == len(search) == 4
        counts = (states.count("complete"), states.count("stopped"), states.count("failed"))
        assert (found.complete, found.stopped, found.failed) == counts
        assert found.search_steps == sum(run.step for run in search)
        assert found.confirm_steps == sum(run.step for run in confirm)
        ended = {
            state: sum(run.step for run in (*search, *confirm) if run.end and run.end.state == state)
            for state in ("stopped", "failed")
        }
        assert (found.stopped_steps, found.failed_steps) == (ended["stopped"], ended["failed"])
    assert entry(table, "FDA").failed_steps > 0 < entry(table, "source only").stopped_steps


def test_hours_go_by_phase_and_device_and_add_up() -> None:
    header, asks, records = two_arms()
    header = dataclasses.replace(header, arms=tuple(dataclasses.replace(each, gpus=0.25) for each in header.arms))
    threads = [dataclasses.replace(each, trial=dataclasses.replace(each.trial, threads=3)) for each in asks]
    ran = {}
    for before, each in zip(asks, threads, strict=True):
        known = dataclasses.replace(records[before.trial.id], trial=each.trial)
        on_gpu = each.phase == "confirm"
        ran[each.trial.id] = with_reports(known, device="NVIDIA L4, 58 multiprocessors" if on_gpu else "cpu")
    lost = next(each for each in threads if (each.arm, each.phase, each.number) == ("FDA", "confirm", 1))
    ran[lost.trial.id] = with_reports(failed(lost, reports=3), device="NVIDIA L4, 58 multiprocessors")
    found = entry(tabulate(header, threads, ran), "FDA")
    seconds = {
        phase: sum(
            report.seconds
            for each in threads
            if (each.arm, each.phase) == ("FDA", phase) and each != lost
            for report in ran[each.trial.id].reports
        )
        for phase in ("search", "confirm")
    }
    assert found.hours.search.cpu == pytest.approx(3 * seconds["search"] / 3600)
    assert found.hours.confirm.gpu == pytest.approx(0.25 * seconds["confirm"] / 3600)
    assert found.hours.failed.gpu == pytest.approx(0.25 * 3 * 1.5 / 3600)
    assert found.hours.search.gpu == found.hours.confirm.cpu == found.hours.failed.cpu == 0.0
    assert found.hours_behind == found.hours.total, "it rests on no other row"


def test_records_of_before_devices_were_noted_say_where_they_ran_by_their_provenance() -> None:
    header, asks, records = two_arms()
    moved = {
        name: dataclasses.replace(known, provenance={**known.provenance, "device": "Tesla T4"})
        for name, known in records.items()
    }
    assert entry(tabulate(header, asks, records), "FDA").hours.confirm.cpu > 0
    assert entry(tabulate(header, asks, moved), "FDA").hours.confirm.cpu == 0
    assert entry(tabulate(header, asks, moved), "FDA").hours.confirm.gpu > 0


def test_a_trial_that_two_searches_mean_counts_once_in_a_row() -> None:
    header = study(arm("source only"), seeds=1, search_trials=2)
    once = ask(header, "source only", "search", 0)
    asks = [once, dataclasses.replace(once, number=1)]
    found = entry(tabulate(header, asks, {once.trial.id: record(once)}), "source only")
    assert (found.trials, found.search_steps) == (2, STEPS)


def test_steps_behind_a_score_are_those_of_every_run_that_it_begins_from() -> None:
    first, second = arm("source only"), dataclasses.replace(arm("FDA"), after=("source only",))
    third = dataclasses.replace(arm("adversarial"), after=("FDA", "source only"))
    vote = dataclasses.replace(arm("vote", searched={}), after=("adversarial",), acts=False)
    table = table_of(study(first, second, third, vote))
    assert [each.fairness.steps_per_score for each in table.rows] == [STEPS, 2 * STEPS, 3 * STEPS, 3 * STEPS]
    assert entry(table, "vote").confirm_steps == 0
    assert entry(table, "FDA").why == (f"{2 * STEPS:,} steps behind a score, source only {STEPS:,}",)


def test_records_whose_arms_come_after_each_other_in_a_circle_are_no_circle_here() -> None:
    first = dataclasses.replace(arm("source only"), after=("FDA", "nobody"))
    second = dataclasses.replace(arm("FDA"), after=("source only",))
    assert [each.fairness.steps_per_score for each in table_of(study(first, second)).rows] == [2 * STEPS] * 2


def test_rows_of_one_budget_are_equal() -> None:
    table = made("source only", "FDA", "adversarial")[3]
    assert [(each.fairness.equal, each.fairness.why) for each in table.rows] == [(True, ())] * 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"few": 30}, "trains on target labels (30 images), source only on none"),
        ({"supervised": True}, "trains on target labels (all), source only on none"),
        ({"select": "oracle/miou"}, "picked by target labels (oracle/miou), source only by none"),
        ({"searched": {}, "search_trials": 0}, "0 search trials, source only 4"),
        ({"after": ("source only",)}, "800 steps behind a score, source only 400"),
    ],
)
def test_a_budget_that_is_not_the_references_says_in_what(changes: dict[str, Any], why: str) -> None:
    table = table_of(header_of(arm("source only"), dataclasses.replace(arm("FDA"), **changes)))
    assert (entry(table, "FDA").equal, entry(table, "FDA").why) == (False, (why,))
    assert entry(table, "source only").equal


def test_a_reference_that_was_not_tuned_makes_tuned_rows_unequal() -> None:
    table = table_of(header_of(arm("source only", searched={}), arm("FDA")))
    assert entry(table, "FDA").why == ("4 search trials, source only 0",)


def test_ranges_of_few_points_that_were_all_tried_are_a_whole_search() -> None:
    few = dataclasses.replace(arm("FDA"), search_trials=3)
    header = header_of(arm("source only"), few)
    asks, records = full(header, {"source only": 0.4, "FDA": 0.5})
    asks = [each for each in asks if (each.arm, each.phase, each.number) != ("FDA", "search", 3)]
    assert entry(tabulate(header, asks, records), "FDA").equal


def test_a_search_that_has_not_ended_is_no_equal_budget() -> None:
    header, asks, records = two_arms()
    last = next(each for each in asks if (each.arm, each.phase, each.number) == ("FDA", "search", 3))
    del records[last.trial.id]
    assert entry(tabulate(header, asks, records), "FDA").why == ("1 of 4 search trials have not ended",)


def test_test_labels_are_read_by_runs_on_fresh_seeds_alone() -> None:
    header, asks, records, table = made()
    for each in table.rows:
        reports = [report for a in asks if a.arm == each.arm for report in records[a.trial.id].reports]
        assert each.fairness.tested == sum("target/test" in report.confusions for report in reports) == header.seeds
        assert each.fairness.tested_in_search == 0
        assert each.fairness.monitored == sum("target/val" in report.confusions for report in reports)


def test_a_search_that_read_test_labels_is_told_on() -> None:
    header, asks, records = two_arms()
    first = next(each for each in asks if (each.arm, each.phase) == ("FDA", "search"))

    def leaky(report: Report) -> Report:
        return dataclasses.replace(report, confusions=report.confusions | {"target/test": [[1]]})

    known = records[first.trial.id]
    records[first.trial.id] = dataclasses.replace(known, reports=tuple(map(leaky, known.reports)))
    table = tabulate(header, asks, records)
    assert entry(table, "FDA").tested_in_search == 4
    assert "3 evaluations, and 4 of the search" in markdown.render(table)


def cells(text: str, heading: str, number: int) -> list[list[str]]:
    """The lines of the `number`-th table below a heading, without the one of the columns' sides."""
    section = text.split(f"## {heading}\n\n")[1].split("\n## ")[0]
    tables = [part.splitlines() for part in section.split("\n\n") if part.startswith("|")]
    return [re.split(r" \| ", line.strip("| ")) for line in (tables[number][0], *tables[number][2:])]


def lines(asks: Sequence[Ask], records: dict[str, Record], header: StudyHeader) -> str:
    return markdown.render(tabulate(header, asks, records))


def test_the_page_shows_the_ledger_row_by_row() -> None:
    first = arm("source only")
    bound = arm("target supervised")
    header = study(first, bound, seeds=2)
    asks, records = full(header, {"source only": 0.4, "target supervised": 0.7})
    text = lines(asks, records, header)
    trials = cells(text, "What each row was given and took", 0)
    assert trials[1] == ["source only", "4", "2", "2", "0", "1,200", "800", "400", "0", "400"]
    labels = cells(text, "What each row was given and took", 1)
    assert labels[1][:4] == ["source only", "reference", "none", "none"]
    assert labels[2][1] == (
        "no: trains on target labels (all), source only on none; picked by target labels (oracle/miou), source only "
        "by none"
    )
    assert labels[2][2:4] == ["all", "oracle/miou"]
    assert labels[1][4:] == ["0.005 CPU", "0.00333 CPU", "0", "0.00833 CPU", "2 evaluations"]
    hours = {line[0]: line[1:] for line in cells(text, "Compute and energy", 0)}
    assert hours["all"] == ["0", "0.0167", "no GPU", "not measured"]


def test_a_stopped_trial_that_another_row_trains_to_its_end_counts_once_for_the_study() -> None:
    header = study(arm("source only"), arm("FDA"), seeds=1, search_trials=1)
    one = ask(header, "source only", "search", 0)
    other = dataclasses.replace(one, arm="FDA")
    from platform.results import aggregation

    table = aggregation.tabulate(
        header, [one, other], {"source only": {one.trial.id: stopped(one)}, "FDA": {one.trial.id: record(other)}}
    )
    assert [each.fairness.search_steps for each in table.rows] == [STEPS // 2, STEPS]
    hours = {line[0]: line[1:] for line in cells(markdown.render(table), "Compute and energy", 0)}
    assert hours["all"][1] == f"{4 * 1.5 / 3600:.3g}", "what was trained once"


def test_csv_holds_the_ledger() -> None:
    text = comma_separated.render(mishaps()[3])
    head, *rest = text.splitlines()
    columns = head.split(",")
    hours = {f"{phase}_{kind}_hours" for phase in ("search", "confirm", "failed") for kind in ("gpu", "cpu")}
    hours |= {"hours_behind/gpu", "hours_behind/cpu"}
    others = {field.name for field in dataclasses.fields(Fairness)} - {"hours", "hours_behind"}
    assert {f"fairness/{name}" for name in hours | others} == {name for name in columns if name.startswith("fairness/")}
    assert len(rest) == 4
