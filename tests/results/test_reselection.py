"""The table that another selector would have led to: its choices are those that a search would have made."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from platform.design.header import header as header_of
from platform.methods import AdaBN, SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.records.ledger import Judge, StoreFault
from platform.records.record import Ask, Phase, Record, StudyHeader
from platform.records.store import Store
from platform.results.reselection import Reselected, reselected
from platform.results.runs import runs_by_arm
from platform.scores.selectors import SHELF
from platform.scores.selectors.selector import Selector
from platform.search.complete import best
from platform.search.judge import EvidenceJudge
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study
from tests.support import invented_study as invented
from tests.support.evident_study import Mark, Middle, judge, leave, written
from tests.support.seen_alike import by_arm

ROWS = ("source only", "FDA", "target supervised")
CONFIRMED = 1
"""The search trial of each row whose configuration `invented_study` confirms."""
MARKS = {"source only": (5, 1, 2, 9), "FDA": (3, 8, 1, 20), "target supervised": (9, 1, 1, 1)}
"""What the evidence of search trials holds at their ends: by it the source only's last and FDA's last are chosen."""
METRICS = {"source/accuracy": (3, 2, 7, 1), "oracle/miou": (1, 2, 3, 9), "source/miou": (1, 9, 2, 3)}
"""What each row's search trials report: the study's own selector prefers the second."""

BOUNDED = Study(
    shift=town(size=(64, 64)),
    arms={
        "source only": Arm(SourceOnly),
        "supervised": Arm(TargetSupervised, learning_rate=LogUniform(1e-3, 1e-1)),
        "after supervised": Arm(AdaBN).after("supervised"),
    },
    reference="source only",
    select="source/miou",
    search=ASHA(trials=2),
    budget=Budget(steps=4, evaluations=2),
    recipe=Recipe(network=BiSeNet18(width=0.125)),
)


def mark(ask: Ask, step: int) -> int:
    """What the evidence of a trial holds: of a search trial little until its end; of a confirm trial its step."""
    if ask.phase == "confirm" or ask.arm not in MARKS:
        return step
    return MARKS[ask.arm][ask.number] if step == invented.STEPS else 1


def search_record(ask: Ask) -> Record:
    run = invented.record(ask)
    last = run.reports[-1]
    values = {name: float(values[ask.number]) for name, values in METRICS.items()}
    if ask.arm == "target supervised":
        values["oracle/miou"] = values["source/miou"]
    return dataclasses.replace(
        run, reports=(*run.reports[:-1], dataclasses.replace(last, metrics=last.metrics | values))
    )


def small(*rows: str, seeds: int = 2) -> tuple[StudyHeader, list[Ask], dict[str, Record]]:
    """A study that has confirmed the second search trial of each row, which is what its selector chose."""
    header = invented.study(*map(invented.arm, rows or ROWS), seeds=seeds)
    asks = [
        invented.ask(header, arm.name, phase, number)
        for arm in header.arms
        for phase, numbers in phases(4, seeds)
        for number in numbers
    ]
    records = {ask.trial.id: search_record(ask) if ask.phase == "search" else invented.record(ask) for ask in asks}
    return header, asks, records


def phases(search: int, confirm: int) -> list[tuple[Phase, range]]:
    return [("search", range(search)), ("confirm", range(confirm))]


def chosen_on(header: StudyHeader, row: str, number: int, seed: int, after: Sequence[str] = ()) -> Ask:
    """The confirm trial of what a search trial tried."""
    recipe = invented.ask(header, row, "search", number).trial.recipe
    return invented.ask(header, row, "confirm", seed, recipe=recipe, after=tuple(after))


def again(
    store: Store,
    header: StudyHeader,
    asks: Sequence[Ask],
    records: Mapping[str, Record],
    by: Selector | str | None = None,
) -> Reselected:
    judged_by: Judge | str = by if isinstance(by, str) else judge(store, by)
    return reselected(store, header, asks, by_arm(asks, records), judged_by, "what it is")


def of(found: Reselected, row: str, phase: Phase) -> list[Ask]:
    return [ask for ask in found.asks if (ask.arm, ask.phase) == (row, phase)]


def confirmed(found: Reselected, row: str) -> list[str]:
    return [ask.trial.id for ask in of(found, row, "confirm")]


# The choice


CHOSEN: dict[str, tuple[Selector | str, dict[str, int]]] = {
    "by evidence": (Mark(), {"source only": 3, "FDA": 3}),
    "among others": (Middle(), {"source only": 0, "FDA": 0}),
    "source/accuracy": ("source/accuracy", {"source only": 2, "FDA": 2}),
    "oracle/miou": ("oracle/miou", {"source only": 3, "FDA": 3}),
    "the study's own": ("source/miou", {"source only": 1, "FDA": 1}),
}
"""Which search trial of each row is chosen. The median of 5, 1, 2, 9 is 3.5, of 3, 8, 1, 20 it is 5.5."""


@pytest.mark.parametrize("kind", CHOSEN)
def test_another_of_the_search_trials_is_confirmed(tmp_path: Path, kind: str) -> None:
    by, numbers = CHOSEN[kind]
    header, asks, records = small()
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records, by)
    for row, number in numbers.items():
        assert confirmed(found, row) == [chosen_on(header, row, number, seed).trial.id for seed in range(2)]
        assert of(found, row, "search") == [ask for ask in asks if (ask.arm, ask.phase) == (row, "search")]


@pytest.mark.parametrize("kind", CHOSEN)
def test_the_choice_is_the_one_that_a_search_makes(tmp_path: Path, kind: str) -> None:
    """`due.best`, of the records that come back."""
    by, _ = CHOSEN[kind]
    header, asks, records = small()
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records, by)
    for arm in found.header.arms:
        winner = best(of(found, arm.name, "search"), found.records[arm.name], arm.select)
        assert winner is not None
        assert {ask.trial.recipe["learning_rate"] for ask in of(found, arm.name, "confirm")} == {
            winner.trial.recipe["learning_rate"]
        }


def test_of_equals_the_first_is_chosen(tmp_path: Path) -> None:
    header, asks, records = small("FDA")
    found = again(written(tmp_path, header, asks, records, lambda ask, step: 7), header, asks, records)
    assert confirmed(found, "FDA") == [chosen_on(header, "FDA", 0, seed).trial.id for seed in range(2)]


def test_a_trial_that_was_stopped_or_failed_is_not_chosen_whatever_its_score(tmp_path: Path) -> None:
    header, asks, records = small("FDA")
    records[asks[3].trial.id] = invented.stopped(asks[3])
    records[asks[1].trial.id] = invented.failed(asks[1], reports=4)
    found = again(written(tmp_path, header, asks, records, lambda ask, step: 1 + ask.number), header, asks, records)
    assert confirmed(found, "FDA") == [chosen_on(header, "FDA", 2, seed).trial.id for seed in range(2)]
    assert found.notes[0] == (
        "reselected from records: search trials were proposed by source/miou, and 1 of 4 were stopped by it"
    )


def test_trials_are_compared_with_those_of_their_row_and_phase_that_came_as_far(tmp_path: Path) -> None:
    header, asks, records = small("source only", "FDA")
    records[asks[0].trial.id] = invented.stopped(asks[0])
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records, Middle())
    # Of 1, 2 and 9 the middle is 2, and of what came to the second rung all are alike.
    search = of(found, "source only", "search")
    values = [found.records[ask.arm][ask.trial.id].reports[-1].metrics["own/middle"] for ask in search]
    assert values == [0, -1, 0, -7]
    assert confirmed(found, "source only") == [chosen_on(header, "source only", 2, seed).trial.id for seed in range(2)]


def test_a_row_whose_search_trials_all_failed_confirms_nothing(tmp_path: Path) -> None:
    header, asks, records = small("source only", "FDA")
    for ask in asks:
        if (ask.arm, ask.phase) == ("FDA", "search"):
            records[ask.trial.id] = invented.failed(ask)
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records)
    assert confirmed(found, "FDA") == []
    assert len(confirmed(found, "source only")) == 2


def test_a_row_without_a_search_keeps_its_trials(tmp_path: Path) -> None:
    header, asks, records = small("source only", "FDA")
    fixed = dataclasses.replace(header.arms[1], searched={}, search_trials=0)
    header = dataclasses.replace(header, arms=(header.arms[0], fixed))
    asks = [ask for ask in asks if (ask.arm, ask.phase) != ("FDA", "search")]
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records)
    assert of(found, "FDA", "confirm") == [ask for ask in asks if ask.arm == "FDA"]
    assert not any(note.startswith("FDA") for note in found.notes)


# What is said of it


def test_the_header_names_the_selector_and_upper_bounds_keep_theirs(tmp_path: Path) -> None:
    header, asks, records = small()
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records)
    assert (found.header.select, found.header.selector) == ("own/mark", "what it is")
    assert {arm.name: arm.select for arm in found.header.arms} == {
        "source only": "own/mark",
        "FDA": "own/mark",
        "target supervised": "oracle/miou",
    }
    undone = dataclasses.replace(found.header, arms=header.arms, select=header.select, selector=header.selector)
    assert undone == header, "nothing else changes"


def test_upper_bounds_stay_as_they_are_and_need_no_evidence(tmp_path: Path) -> None:
    header, asks, records = small()
    store = written(
        tmp_path, header, asks, records, lambda ask, step: None if ask.arm == "target supervised" else mark(ask, step)
    )
    found = again(store, header, asks, records)
    bound = [ask for ask in asks if ask.arm == "target supervised"]
    assert [ask for ask in found.asks if ask.arm == "target supervised"] == bound
    assert all(found.records[ask.arm][ask.trial.id] == records[ask.trial.id] for ask in bound)
    assert not any(note.startswith("target supervised") for note in found.notes)


def test_it_is_said_who_proposed_what_is_chosen_instead_and_how_many_seeds_nobody_trained(tmp_path: Path) -> None:
    header, asks, records = small()
    store = written(tmp_path, header, asks, records, mark)
    known = chosen_on(header, "FDA", 3, 0)
    leave(store, known, invented.record(known), mark)
    assert again(store, header, asks, records).notes == (
        "reselected from records: search trials were proposed by source/miou",
        "source only: another configuration is chosen than by the study, learning_rate=0.04; "
        "2 of its 2 seeds were trained by no study",
        "FDA: another configuration is chosen than by the study, learning_rate=0.04; "
        "1 of its 2 seeds were trained by no study",
    )


def test_it_is_said_that_the_same_name_has_other_code_now(tmp_path: Path) -> None:
    header, asks, records = small()
    store = written(tmp_path, header, asks, records, mark)
    found = again(store, dataclasses.replace(header, selector="SourceMIoU() 0"), asks, records, "source/miou")
    (note,) = found.notes
    assert note == "reselected from records: search trials were proposed by source/miou, of other code or settings then"


def test_nothing_is_said_of_a_row_for_which_the_same_is_chosen(tmp_path: Path) -> None:
    header, asks, records = small()
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records, "source/miou")
    assert found.notes == ("reselected from records: search trials were proposed by source/miou",)
    assert found.asks == tuple(asks)
    assert all(found.records[ask.arm][ask.trial.id] == records[ask.trial.id] for ask in asks)


def test_no_other_choice_is_claimed_of_a_row_that_has_not_asked_for_all_of_its_seeds(tmp_path: Path) -> None:
    header, asks, records = small("source only", "FDA")
    asks = asks[:-1]
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records, "source/miou")
    assert not any("another configuration" in note for note in found.notes)


def test_no_other_choice_is_claimed_of_a_row_that_searches_of_others_begin_from(tmp_path: Path) -> None:
    """It has one trial more than its seeds."""
    header, asks, records = small("source only", "FDA")
    begins = dataclasses.replace(header.arms[0], starts_searches=True)
    header = dataclasses.replace(header, arms=(begins, header.arms[1]))
    start = invented.ask(header, "source only", "confirm", 999_999, seed=1_000_000)
    asks.append(start)
    records[start.trial.id] = invented.record(start)
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records, "source/miou")
    assert not any("another configuration" in note for note in found.notes)
    assert {ask.trial.id for ask in found.asks} == {ask.trial.id for ask in asks}


# Trials that the study has not asked for


def test_a_confirm_trial_that_any_study_has_trained_counts_and_is_judged(tmp_path: Path) -> None:
    header, asks, records = small()
    store = written(tmp_path, header, asks, records, mark)
    known = chosen_on(header, "FDA", 3, 0)
    leave(store, known, invented.record(known, 0.9), mark)
    found = again(store, header, asks, records)
    (first, second) = runs_by_arm(found.header, found.asks, found.records)["FDA"].confirm
    assert [report.metrics["own/mark"] for report in first.reports] == [*invented.EVALUATED_STEPS]
    assert (first.state, second.state) == ("complete", None)
    assert second.reports == ()


def test_reports_are_judged_one_by_one_or_step_by_step(tmp_path: Path) -> None:
    header, asks, records = small("FDA")
    marks: Callable[[Ask, int], int] = lambda ask, step: step + 10 * ask.number  # noqa: E731
    found = again(written(tmp_path, header, asks, records, marks), header, asks, records)
    for ask in of(found, "FDA", "search"):
        values = [report.metrics["own/mark"] for report in found.records[ask.arm][ask.trial.id].reports]
        assert values == [marks(ask, step) for step in invented.EVALUATED_STEPS]
    among = again(judge(Store(tmp_path)).store, header, asks, records, Middle())
    for ask in of(among, "FDA", "search"):
        values = [report.metrics["own/middle"] for report in among.records[ask.arm][ask.trial.id].reports]
        assert values == [-abs(10 * ask.number - 15)] * 4


def test_evidence_that_is_not_there_is_named(tmp_path: Path) -> None:
    header, asks, records = small("FDA")
    lacks = asks[2].trial.id
    store = written(tmp_path, header, asks, records, lambda ask, step: None if ask.trial.id == lacks else 1)
    with pytest.raises(StoreFault, match=rf"{lacks}/evidence-100\.npz must hold the evidence that own/mark judges by"):
        again(store, header, asks, records)


# Rows that come after others


def chain(*order: str) -> tuple[StudyHeader, list[Ask], dict[str, Record]]:
    """A searched row, one that begins from its trials, and one that begins from those, in this order."""
    header, asks, records = small("source only")
    after = {"AdaBN": ("source only",), "AdaBN twice": ("AdaBN",)}
    arms = {name: dataclasses.replace(invented.arm(name, searched={}), after=after[name]) for name in after}
    header = dataclasses.replace(header, arms=tuple(arms.get(name, header.arms[0]) for name in order))
    for name, (before,) in after.items():
        for number in range(2):
            (start,) = (ask.trial.id for ask in asks if (ask.arm, ask.phase, ask.number) == (before, "confirm", number))
            ask = invented.ask(header, name, "confirm", number, after=(start,))
            asks.append(ask)
            records[ask.trial.id] = invented.record(ask)
    return header, asks, records


@pytest.mark.parametrize(
    "order", [("source only", "AdaBN", "AdaBN twice"), ("AdaBN twice", "AdaBN", "source only")], ids=["down", "up"]
)
def test_rows_that_come_after_others_begin_from_the_new_choice(tmp_path: Path, order: tuple[str, ...]) -> None:
    header, asks, records = chain(*order)
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records)
    starts = confirmed(found, "source only")
    assert starts == [chosen_on(header, "source only", 3, seed).trial.id for seed in range(2)]
    for name, before in (("AdaBN", "source only"), ("AdaBN twice", "AdaBN")):
        assert [ask.trial.after for ask in of(found, name, "confirm")] == [
            (start,) for start in confirmed(found, before)
        ]
    assert [arm.name for arm in found.header.arms] == list(order)
    assert [ask.arm for ask in found.asks] == sorted((ask.arm for ask in found.asks), key=order.index)
    assert any(
        note.startswith("AdaBN: another configuration is chosen than by the study, after another; 2 of its 2 seeds")
        for note in found.notes
    )


def test_rows_that_come_after_others_stay_where_the_same_is_chosen(tmp_path: Path) -> None:
    header, asks, records = chain("source only", "AdaBN", "AdaBN twice")
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records, "source/miou")
    assert found.asks == tuple(asks)
    assert len(found.notes) == 1


def test_a_row_after_one_that_confirms_nothing_confirms_nothing(tmp_path: Path) -> None:
    header, asks, records = chain("source only", "AdaBN", "AdaBN twice")
    for ask in asks:
        if ask.phase == "search":
            records[ask.trial.id] = invented.failed(ask)
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records)
    assert [ask for ask in found.asks if ask.phase == "confirm"] == []


def test_rows_that_come_after_each_other_end_nowhere(tmp_path: Path) -> None:
    """Somebody else's records may say so."""
    header, asks, records = chain("source only", "AdaBN", "AdaBN twice")
    turned = dataclasses.replace(header.arms[1], after=("AdaBN twice",))
    header = dataclasses.replace(header, arms=(header.arms[0], turned, header.arms[2]))
    found = again(written(tmp_path, header, asks, records, mark), header, asks, records)
    assert len(confirmed(found, "source only")) == 2
    assert confirmed(found, "AdaBN") == []


# As the study itself would have had it


@pytest.mark.parametrize("select", ["source/accuracy", "oracle/miou", "oracle/accuracy", "target/nuclear_norm"])
@pytest.mark.parametrize("before", ["source/miou", "source/accuracy"])
def test_each_row_is_selected_as_in_a_study_that_selects_so(tmp_path: Path, select: str, before: str) -> None:
    """Also upper bounds, and rows that come after them."""
    shelf = {selector.name: selector for selector in SHELF}
    headers = [
        header_of(dataclasses.replace(BOUNDED, select=name), "bounded", "", {"groups": [[0]]}, "", "")
        for name in (before, select)
    ]
    by: Judge | str = select
    if select.startswith("target/"):
        by = EvidenceJudge(shelf[select], select, Store(tmp_path))
    found = reselected(Store(tmp_path), headers[0], [], {}, by, headers[1].selector)
    assert {arm.name: arm.select for arm in found.header.arms} == {arm.name: arm.select for arm in headers[1].arms}
    assert found.header == headers[1]
