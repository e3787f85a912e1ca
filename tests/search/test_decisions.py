"""What a study asks for and decides, from made-up records."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from platform.records.record import End
from platform.records.store import JOURNAL, RECORD, Store
from platform.results.rounds.rounds import has_all
from platform.study import Study
from tests.support.made_search import (
    COMPLETE,
    HEADER,
    ONE_AT_A_TIME,
    PATIENT,
    RUNGS,
    STUDY,
    WAITING,
    WIDE,
    conduct,
    fail,
    files,
    open_asks,
    places,
    search_of,
    take_up,
    train,
    without,
)


def test_the_rungs_are_where_these_tests_think() -> None:
    assert STUDY.rungs == RUNGS
    assert PATIENT.rungs == ()


# What is asked for


def test_an_arm_searches_then_waits_then_confirms_the_best(tmp_path: Path) -> None:
    search = search_of(tmp_path, WIDE)
    asks = open_asks(search)
    assert [(ask.phase, ask.number, ask.trial.seed) for ask in asks] == [("search", number, 0) for number in range(3)]
    conduct(search, "searched", (0.3, 0.4, 0.6), "search")
    confirms = open_asks(search)
    assert [(ask.phase, ask.number, ask.trial.seed) for ask in confirms] == [("confirm", 0, 1), ("confirm", 1, 2)]
    assert {ask.trial.recipe["learning_rate"] for ask in confirms} == {asks[2].trial.recipe["learning_rate"]}


def test_so_many_search_trials_are_under_way_as_virtual_workers_have(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    for number, value in enumerate((0.3, 0.2, 0.6)):
        (ask,) = open_asks(search)
        assert ask.place == ("searched", "search", number)
        train(search, ask, [value] * 5)
    assert [ask.phase for ask in open_asks(search)] == ["confirm", "confirm"]


def test_an_arm_without_ranges_is_confirmed_at_once(tmp_path: Path) -> None:
    assert [ask.place for ask in open_asks(search_of(tmp_path), "fixed")] == [
        ("fixed", "confirm", 0),
        ("fixed", "confirm", 1),
    ]


def test_more_seeds_and_trials_continue_the_numbers(tmp_path: Path) -> None:
    conduct(search_of(tmp_path), "fixed")
    (third,) = open_asks(search_of(tmp_path, dataclasses.replace(STUDY, seeds=3)), "fixed")
    assert (third.number, third.trial.seed) == (2, 3)


def test_a_study_is_over_when_nothing_is_left(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    conduct(search, "searched")
    assert list(search.open())
    conduct(search, "fixed")
    assert search.is_over
    assert search_of(tmp_path).is_over
    assert not search_of(tmp_path, dataclasses.replace(STUDY, seeds=3)).is_over


@pytest.mark.parametrize("study", [STUDY, WIDE, WAITING], ids=["one at a time", "three at a time", "waiting"])
@pytest.mark.parametrize("values", [[0.5] * 5, [0.5, 0.1]], ids=["to the last step", "broken off"])
@pytest.mark.parametrize("classes", [9.0, 1.0], ids=["healthy", "collapsed"])
@pytest.mark.parametrize("retry", [False, True], ids=["of itself", "from outside"])
def test_is_it_done_has_one_answer_at_every_moment(
    tmp_path: Path, study: Study, values: Sequence[float], classes: float, retry: bool
) -> None:
    """The search that asks for trials and the records alone agree; what failed from outside is not done."""
    search, answers = search_of(tmp_path, study), []

    def ask_each() -> None:
        answers.append(has_all(HEADER, search.ledger.asks, search.ledger.by_arm()))
        waits = any(record.is_given_up for record in search.ledger.records.values())
        assert answers[-1] == (search.is_over and not waits)

    for name in study.arms:
        ask_each()
        while asks := open_asks(search, name):
            train(search, asks[0], values, classes)
            ask_each()
            if search.wants(asks[0]):
                fail(search, asks[0], retry)
    ask_each()
    assert (answers[0], answers[-1]) == (False, not retry or len(values) == 5)


def test_a_trial_that_failed_ahead_of_its_tick_is_trained_no_further(tmp_path: Path) -> None:
    """No number of slots trains what one alone would not."""
    search = search_of(
        tmp_path, dataclasses.replace(WIDE, search=dataclasses.replace(ONE_AT_A_TIME, grace=1.0, parallel=2))
    )
    first, second = open_asks(search)
    train(search, second, [0.5] * 5, classes=1.0)
    assert search.ledger.records[second.trial.id].step == 300, "where it had collapsed for three evaluations"
    assert search.ledger.ended(second) is None, "its search has not come there"
    train(search, first, [0.5] * 3)
    ended = search.ledger.ended(second)
    assert ended is not None
    assert (ended.cause, ended.step) == ("predictions collapsed", 300)


def test_an_arm_all_of_whose_search_failed_is_finished_without_confirm_trials(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    for _ in range(3):
        (ask,) = open_asks(search)
        take_up(search, ask)
        fail(search, ask)
    conduct(search, "fixed")
    assert search.is_over
    assert search.ledger.asked("searched", "confirm") == []


# Verdicts


def test_the_order_of_the_asks_decides_who_is_stopped(tmp_path: Path) -> None:
    """The first at a rung always goes on; the same values in another order stop other trials."""
    outcomes = {}
    for order in ((0.1, 0.2, 0.3), (0.3, 0.2, 0.1)):
        search = search_of(tmp_path / str(order[0]))
        ends = [train(search, open_asks(search)[0], [value] * 5) for value in order]
        outcomes[order] = [(end.state, end.step) for end in ends if end is not None]
    assert outcomes == {
        (0.1, 0.2, 0.3): [("complete", 500), ("complete", 500), ("complete", 500)],
        (0.3, 0.2, 0.1): [("complete", 500), ("stopped", 200), ("stopped", 200)],
    }


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_whoever_reports_first_the_same_trials_are_stopped(tmp_path: Path, order: Sequence[int]) -> None:
    """One that is ahead of the others waits at its rung."""
    search = search_of(tmp_path, WIDE)
    asks = open_asks(search)
    values = (0.3, 0.2, 0.4)
    assert train(search, asks[order[0]], [values[order[0]]] * 5) is None
    assert search.ledger.records[asks[order[0]].trial.id].step == RUNGS[0]
    while left := [number for number in order if search.wants(asks[number])]:
        train(search, asks[left[0]], [values[left[0]]] * 5)
    ended = [search.ledger.ended(ask) for ask in asks]
    assert [(end.state, end.step) for end in ended if end is not None] == [
        ("complete", 500),
        ("stopped", 200),
        ("complete", 500),
    ]


def test_trials_wait_at_rungs_until_they_are_among_the_best(tmp_path: Path) -> None:
    search, trained = search_of(tmp_path, WAITING), []
    while asks := [ask for ask in open_asks(search) if ask.phase == "search"]:
        (ask,) = asks
        before = search.ledger.records[ask.trial.id].step
        train(search, ask, [(0.4, 0.6, 0.5)[ask.number]] * 5)
        trained.append((ask.number, before, search.ledger.records[ask.trial.id].step))
    # The second is the best of two at the first rung; nobody else comes to the last, so that it goes on from there too.
    assert trained == [(0, 0, 200), (1, 0, 400), (2, 0, 200), (1, 400, 500)]
    ends = [search.ledger.ended(ask) for ask in search.ledger.asked("searched", "search")]
    assert [(end.state, end.step) for end in ends if end is not None] == [
        ("stopped", 200),
        ("complete", 500),
        ("stopped", 200),
    ]


def test_a_stop_says_rung_value_and_cut(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    train(search, open_asks(search)[0], [0.5] * 5)
    end = train(search, open_asks(search)[0], [0.9, 0.4])
    assert end == End("stopped", "below the cut", "rung 200: source/miou 0.4000 is below the cut 0.5000", 200)


def test_a_trial_of_another_study_is_judged_at_every_rung_as_if_it_reported_now(tmp_path: Path) -> None:
    other = search_of(tmp_path, PATIENT)  # of the same name, so that it tries the same
    for values in ([0.5] * 5, [0.9, 0.6, 0.3, 0.2, 0.9]):
        assert train(other, open_asks(other)[0], values) == COMPLETE
    other.ledger.close()
    shutil.rmtree(tmp_path / "study")
    search = search_of(tmp_path)
    asks = search.ledger.asked("searched")
    assert [ask.trial for ask in asks[:2]] == [ask.trial for ask in other.ledger.asked("searched")[:2]]
    ends = [search.ledger.ended(ask) for ask in asks[:2]]
    assert [(end.state, end.step) for end in ends if end is not None] == [("complete", 500), ("stopped", 400)]
    assert search.ledger.record(asks[1]).step == 400, "this study sees it up to where it was stopped"
    stored = Store(tmp_path).read(asks[1].trial.id)
    assert stored is not None
    assert (stored.end, stored.step) == (COMPLETE, 500), "the store keeps the whole of it"


def test_a_search_from_the_same_records_writes_nothing(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    train(search, open_asks(search)[0], [0.5] * 5)
    train(search, open_asks(search)[0], [0.6, 0.6, 0.6])
    before = files(tmp_path)
    again = search_of(tmp_path)
    assert files(tmp_path) == before
    assert again.ledger.by_arm() == search.ledger.by_arm()
    assert list(again.open()) == list(search.open())


def test_an_ailing_search_trial_fails_and_an_ailing_confirm_trial_completes_with_the_cause(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    ailing = train(search, open_asks(search)[0], [0.5] * 5, classes=1.0)
    assert ailing is not None
    assert (ailing.state, ailing.cause, ailing.retry) == ("failed", "predictions collapsed", False)
    assert ailing.step < 500
    confirmed = train(search, open_asks(search, "fixed")[0], [0.5] * 5, classes=1.0)
    assert confirmed is not None
    assert (confirmed.state, confirmed.cause, confirmed.step) == ("complete", "predictions collapsed", 500)
    assert "effective_classes" in ailing.reason
    assert "effective_classes" in confirmed.reason


def test_confirm_trials_pass_every_rung(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    assert train(search, open_asks(search, "fixed")[0], [0.9] * 5) == COMPLETE
    assert train(search, open_asks(search, "fixed")[0], [0.1] * 5) == COMPLETE


# Failures


@pytest.mark.parametrize("retry", [False, True])
def test_how_a_trial_failed_in_another_study_counts_unless_it_may_be_tried_again(tmp_path: Path, retry: bool) -> None:
    other = search_of(tmp_path, name="other")
    (ask,) = open_asks(other)
    train(other, ask, [0.5])
    fail(other, ask, retry)
    search = search_of(tmp_path)
    end = search.ledger.ended(search.ledger.asked("searched")[0])
    assert end == (None if retry else End("failed", "diverged", "as it was", 100))


def test_a_failure_from_outside_leaves_its_arm_undecided_until_the_next_run(tmp_path: Path) -> None:
    """What was known without it is decided, other arms go on, and a retry changes nothing of that."""
    search = search_of(tmp_path, WIDE)
    first, second, third = open_asks(search)
    train(search, second, [0.4] * 5)
    take_up(search, first)
    fail(search, first, retry=True)
    assert open_asks(search) == [third]
    train(search, third, [0.6] * 5)
    conduct(search, "fixed")
    assert search.is_over
    assert [search.ledger.ended(ask) for ask in (second, third)] == [None, None]
    search.ledger.close()
    again = search_of(tmp_path, WIDE)
    assert open_asks(again) == [first]
    conduct(again, "searched", (0.5, 0.4, 0.6), "search")
    ends = [again.ledger.ended(ask) for ask in (first, second, third)]
    assert [(end.state, end.step) for end in ends if end is not None] == [
        ("complete", 500),
        ("stopped", 200),
        ("complete", 500),
    ]


# After a death, or damage


def test_decisions_that_were_not_written_down_are_taken_again_the_same(tmp_path: Path) -> None:
    """The driver died after the report, ahead of the journal's last lines."""
    search = search_of(tmp_path)
    train(search, open_asks(search)[0], [0.5] * 5)
    train(search, open_asks(search)[0], [0.9, 0.4])
    journal = tmp_path / "study" / JOURNAL
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    for number in range(len(lines)):
        journal.write_bytes(b"".join(lines[:number]))
        again = search_of(tmp_path)
        assert again.ledger.by_arm() == search.ledger.by_arm()
        assert sorted(journal.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_an_ask_that_cannot_be_read_is_made_again(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    for value in (0.5, 0.6):
        train(search, open_asks(search)[0], [value] * 5)
    asks = search.ledger.asks
    without(tmp_path / "study" / JOURNAL, "ask", 0)
    again = search_of(tmp_path)
    assert sorted(ask.place for ask in asks) == sorted(places(again))
    assert {ask.place: ask.trial.id for ask in asks} == {ask.place: ask.trial.id for ask in again.ledger.asks}


def test_an_end_that_cannot_be_read_is_decided_again(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    (ask,) = open_asks(search)
    train(search, ask, [0.5] * 5)
    without(tmp_path / "study" / JOURNAL, "end")
    without(Store(tmp_path).trial_folder(ask.trial.id) / RECORD, "end")
    again = search_of(tmp_path)
    assert again.ledger.ended(ask) == COMPLETE


def test_a_trial_whose_reports_cannot_be_read_has_not_ended(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    (ask,) = open_asks(search)
    train(search, ask, [0.5] * 5)
    without(Store(tmp_path).trial_folder(ask.trial.id) / RECORD, "report", 3)
    again = search_of(tmp_path)
    assert again.ledger.ended(ask) is None
    assert again.ledger.records[ask.trial.id].step == 300
    assert train(again, ask, [0.5] * 5) == COMPLETE
    stored = Store(tmp_path).read(ask.trial.id)
    assert stored is not None
    assert stored.reports == again.ledger.record(ask).reports
