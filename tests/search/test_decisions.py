"""What a study does next, decided from made-up records."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from platform.design.header import header as header_of
from platform.methods import FDA, SourceOnly
from platform.records.ledger import Ledger
from platform.records.record import Ask, End, Phase, Record, Report
from platform.records.store import JOURNAL, RECORD, Store
from platform.search.decisions import Search
from platform.search.due import is_complete, wanted
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Study

STEPS = (100, 200, 300, 400, 500)
RUNGS = (200, 400)
STUDY = Study(
    shift=town(size=(64, 64)),
    arms={
        "searched": Arm(SourceOnly, learning_rate=LogUniform(1e-3, 1e-1)),
        "fixed": Arm(FDA, beta=0.05),
    },
    reference="searched",
    select="source/miou",
    search=ASHA(trials=3, grace=0.4, reduction=2, smoothing=1),
    budget=Budget(steps=500, evaluations=5),
    seeds=2,
)
PATIENT = dataclasses.replace(STUDY, search=ASHA(trials=3, grace=1.0, reduction=2, smoothing=1))
"""The same trials, none of which is stopped."""
IDENTITY = STUDY.shift.identity()
COMPLETE = End("complete", None, "", 500)
HEADER = header_of(STUDY, "study", "Is it done?", IDENTITY, "", "2026-01-01T00:00:00+00:00")


def book(folder: Path, study: str = "study") -> Ledger:
    """A study's ledger, as a process that starts reads it."""
    return Ledger(Store(folder), study, list(STUDY.arms))


def asked(ledger: Ledger, arm: str = "searched", study: Study = STUDY) -> Ask:
    """The next trial of an arm, asked for."""
    ask = Search(study, ledger, IDENTITY).next_ask(arm)
    assert ask is not None
    ledger.ask(ask)
    return ask


def take_up(ledger: Ledger, ask: Ask) -> None:
    assert ledger.take_up(ask, lambda: Record(ask.trial, provenance={}, cost={}))


def report(step: int, value: float = 0.5, classes: float = 9.0) -> Report:
    metrics = {
        "source/miou": value,
        "oracle/miou": value,
        "target/effective_classes": classes,
        "loss/cross_entropy": 3.0,
    }
    return Report(step, 1.0, metrics, {})


def train(ledger: Ledger, ask: Ask, values: Sequence[float], classes: float = 9.0, study: Study = STUDY) -> End | None:
    """Take a trial up and have it report, as long as it goes on; how it ended."""
    take_up(ledger, ask)
    Search(study, ledger, IDENTITY).settle(ask)
    for step, value in zip(STEPS, values, strict=False):
        if ledger.ended(ask) is None and ledger.report(ask, report(step, value, classes)):
            Search(study, ledger, IDENTITY).settle(ask, judged=len(ledger.records[ask.trial.id].reports) - 1)
    return ledger.ended(ask)


def conduct(ledger: Ledger, arm: str, value: float = 0.5, study: Study = STUDY) -> None:
    """Ask for all that is left of an arm, and train it."""
    while (ask := Search(study, ledger, IDENTITY).next_ask(arm)) is not None:
        ledger.ask(ask)
        train(ledger, ask, [value] * 5, study=study)


def without(path: Path, event: str, number: int = 0) -> None:
    """Damage the `number`-th line of an event."""
    lines = path.read_bytes().splitlines(keepends=True)
    chosen = [position for position, line in enumerate(lines) if f'"event": "{event}"'.encode() in line][number]
    lines[chosen] = lines[chosen].replace(b'"event"', b'"evemt"')
    path.write_bytes(b"".join(lines))


def names(ledger: Ledger) -> list[tuple[str, Phase, int]]:
    return [(ask.arm, ask.phase, ask.number) for ask in ledger.asks]


def test_the_rungs_are_where_these_tests_think() -> None:
    assert STUDY.rungs == RUNGS
    assert PATIENT.rungs == ()


# What is asked for


def test_an_arm_searches_then_waits_then_confirms_the_best(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    asks = [asked(ledger) for _ in range(3)]
    assert [(ask.phase, ask.number, ask.trial.seed) for ask in asks] == [("search", number, 0) for number in range(3)]
    assert Search(STUDY, ledger, IDENTITY).next_ask("searched") is None
    for ask, value in zip(asks, (0.3, 0.2, 0.6), strict=True):
        train(ledger, ask, [value] * 5)
    confirms = [asked(ledger), asked(ledger)]
    assert [(ask.phase, ask.number, ask.trial.seed) for ask in confirms] == [("confirm", 0, 1), ("confirm", 1, 2)]
    assert {ask.trial.recipe["learning_rate"] for ask in confirms} == {asks[2].trial.recipe["learning_rate"]}
    assert Search(STUDY, ledger, IDENTITY).next_ask("searched") is None


def test_an_arm_without_ranges_is_confirmed_at_once(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    assert [
        (asked(ledger, "fixed").phase, Search(STUDY, ledger, IDENTITY).next_ask("fixed") is None) for _ in range(2)
    ] == [
        ("confirm", False),
        ("confirm", True),
    ]


def test_more_seeds_and_trials_continue_the_numbers(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    conduct(ledger, "fixed")
    more = dataclasses.replace(STUDY, seeds=3)
    assert (third := Search(more, ledger, IDENTITY).next_ask("fixed")) is not None
    assert (third.number, third.trial.seed) == (2, 3)


def test_a_study_is_finished_when_nothing_runs_and_nothing_is_left(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    conduct(ledger, "searched")
    assert not Search(STUDY, ledger, IDENTITY).is_finished()
    conduct(ledger, "fixed")
    assert Search(STUDY, ledger, IDENTITY).is_finished()
    assert not Search(dataclasses.replace(STUDY, seeds=3), ledger, IDENTITY).is_finished()
    last = ledger.asks[-1].trial.id
    ledger.records[last] = dataclasses.replace(ledger.records[last], end=None)
    assert not Search(STUDY, ledger, IDENTITY).is_finished()


@pytest.mark.parametrize("values", [[0.5] * 5, [0.5, 0.1]], ids=["to the last step", "broken off"])
@pytest.mark.parametrize("classes", [9.0, 1.0], ids=["healthy", "collapsed"])
def test_is_it_done_has_one_answer_at_every_moment(tmp_path: Path, values: Sequence[float], classes: float) -> None:
    """The search that asks for trials and the records alone, which the copying command has, agree."""
    ledger = book(tmp_path)
    search, answers = Search(STUDY, ledger, IDENTITY), []

    def ask_each() -> None:
        ended = all(ledger.ended(ask) is not None for ask in ledger.asks)
        left = [search.next_ask(name) for name in STUDY.arms]
        answers.append(search.is_finished())
        assert answers[-1] == (ended and left == [None, None])
        assert answers[-1] == is_complete(wanted(HEADER), ledger.asks, dict.fromkeys(STUDY.arms, ledger.records))

    for name in STUDY.arms:
        ask_each()
        while (ask := search.next_ask(name)) is not None:
            ledger.ask(ask)
            ask_each()
            train(ledger, ask, values, classes)
            ask_each()
            if ledger.ended(ask) is None:
                ledger.end(ask, End("failed", "diverged", "the loss is nan", ledger.records[ask.trial.id].step))
    ask_each()
    assert (answers[0], answers[-1]) == (False, True)


def test_an_arm_all_of_whose_search_failed_is_finished_without_confirm_trials(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    for _ in range(3):
        ask = asked(ledger)
        take_up(ledger, ask)
        ledger.end(ask, End("failed", "diverged", "the loss is nan", 0))
    conduct(ledger, "fixed")
    assert Search(STUDY, ledger, IDENTITY).is_finished()
    assert ledger.asked("searched", "confirm") == []


# Verdicts


def test_the_order_of_arrivals_decides_who_is_stopped(tmp_path: Path) -> None:
    """The first at a rung always goes on; the same values in another order stop other trials."""
    outcomes = {}
    for order in ((0.1, 0.2, 0.3), (0.3, 0.2, 0.1)):
        ledger = book(tmp_path / str(order[0]))
        ends = [train(ledger, asked(ledger), [value] * 5) for value in order]
        outcomes[order] = [(end.state, end.step) for end in ends if end is not None]
    assert outcomes == {
        (0.1, 0.2, 0.3): [("complete", 500), ("complete", 500), ("complete", 500)],
        (0.3, 0.2, 0.1): [("complete", 500), ("stopped", 200), ("stopped", 200)],
    }


def test_a_stop_says_rung_value_and_cut(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    train(ledger, asked(ledger), [0.5] * 5)
    end = train(ledger, asked(ledger), [0.9, 0.4])
    assert end == End("stopped", "below the cut", "rung 200: source/miou 0.4000 is below the cut 0.5000", 200)


def test_a_trial_of_another_study_is_judged_at_every_rung_as_if_it_reported_now(tmp_path: Path) -> None:
    other = book(tmp_path, "other")
    first, second, third = [asked(other, study=PATIENT) for _ in range(3)]
    for ask, values in ((first, [0.5] * 5), (second, [0.9, 0.6, 0.3, 0.2, 0.9]), (third, [0.9, 0.4, 0.9, 0.9, 0.9])):
        assert train(other, ask, values, study=PATIENT) == COMPLETE

    ledger = book(tmp_path)
    for ask, state, step in ((first, "complete", 500), (second, "stopped", 400), (third, "stopped", 200)):
        ledger.ask(ask)
        take_up(ledger, ask)
        Search(STUDY, ledger, IDENTITY).settle(ask)
        end = ledger.ended(ask)
        assert end is not None
        assert (end.state, end.step) == (state, step)
        assert ledger.records[ask.trial.id].step == step, "this study sees it up to where it was stopped"
        stored = Store(tmp_path).read(ask.trial.id)
        assert stored is not None
        assert (stored.end, stored.step) == (COMPLETE, 500), "the store keeps the whole of it"
    assert [(arrival.trial, arrival.step) for arrival in ledger.arrivals] == [
        (first.trial.id, 200),
        (first.trial.id, 400),
        (second.trial.id, 200),
        (second.trial.id, 400),
        (third.trial.id, 200),
    ]
    assert book(tmp_path).records == ledger.records


def test_to_settle_again_changes_nothing(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    train(ledger, asked(ledger), [0.5] * 5)
    halfway = asked(ledger)
    train(ledger, halfway, [0.6, 0.6, 0.6])
    stopped = asked(ledger)
    train(ledger, stopped, [0.1, 0.1])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arrivals, records = list(ledger.arrivals), dict(ledger.records)
    for ask in ledger.asks * 2:
        Search(STUDY, ledger, IDENTITY).settle(ask)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (ledger.arrivals, ledger.records) == (arrivals, records)


def test_an_ailing_search_trial_fails_and_an_ailing_confirm_trial_completes_with_the_cause(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    ailing = train(ledger, asked(ledger), [0.5] * 5, classes=1.0)
    assert ailing is not None
    assert (ailing.state, ailing.cause, ailing.retry) == ("failed", "predictions collapsed", False)
    assert ailing.step < 500
    confirmed = train(ledger, asked(ledger, "fixed"), [0.5] * 5, classes=1.0)
    assert confirmed is not None
    assert (confirmed.state, confirmed.cause, confirmed.step) == ("complete", "predictions collapsed", 500)
    assert "effective_classes" in ailing.reason
    assert "effective_classes" in confirmed.reason


def test_confirm_trials_pass_every_rung(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    assert train(ledger, asked(ledger, "fixed"), [0.9] * 5) == COMPLETE
    assert train(ledger, asked(ledger, "fixed"), [0.1] * 5) == COMPLETE
    assert ledger.arrivals == []


@pytest.mark.parametrize("retry", [False, True])
def test_how_a_trial_failed_in_another_study_counts_unless_it_may_be_tried_again(tmp_path: Path, retry: bool) -> None:
    failed = End("failed", "out of memory" if retry else "diverged", "as it was", 100, retry)
    other = book(tmp_path, "other")
    ask = asked(other)
    train(other, ask, [0.5])
    other.end(ask, failed)
    ledger = book(tmp_path)
    ledger.ask(ask)
    take_up(ledger, ask)
    Search(STUDY, ledger, IDENTITY).settle(ask)
    assert ledger.ended(ask) == (None if retry else failed)


# After a death, or damage


@pytest.mark.parametrize("lost", ["end", "rung"])
def test_a_decision_that_was_not_written_down_is_taken_again_the_same(tmp_path: Path, lost: str) -> None:
    """The driver died after the report, ahead of the journal's last line, or of its last two."""
    ledger = book(tmp_path)
    train(ledger, asked(ledger), [0.5] * 5)
    ask = asked(ledger)
    end = train(ledger, ask, [0.9, 0.4])
    journal = tmp_path / "study" / JOURNAL
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: -1 if lost == "end" else -2]))

    again = book(tmp_path)
    assert again.ended(ask) is None
    take_up(again, ask)
    Search(STUDY, again, IDENTITY).settle(ask)
    assert again.ended(ask) == end
    assert journal.read_bytes() == whole


def test_an_ask_that_cannot_be_read_leaves_a_number_that_is_given_again_and_no_other_twice(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    for value in (0.5, 0.6):
        train(ledger, asked(ledger), [value] * 5)
    without(tmp_path / "study" / JOURNAL, "ask", 0)
    again = book(tmp_path)
    assert names(again) == [("searched", "search", 1)]
    conduct(again, "searched")
    conduct(again, "fixed")
    assert len(set(names(again))) == len(again.asks) == 3 + 2 + 2
    assert len({ask.trial.id for ask in again.asks}) == len(again.asks)
    assert Search(STUDY, again, IDENTITY).is_finished()


def test_an_arrival_that_cannot_be_read_is_missing_in_later_cuts_and_breaks_nothing(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    train(ledger, asked(ledger), [0.5] * 5)
    without(tmp_path / "study" / JOURNAL, "rung", 0)
    again = book(tmp_path)
    end = train(again, asked(again), [0.4] * 5)
    assert end is not None
    assert (end.state, end.step) == ("stopped", 400), "it is the first known one at rung 200"
    conduct(again, "searched")
    conduct(again, "fixed")
    assert Search(STUDY, again, IDENTITY).is_finished()


def test_an_end_that_cannot_be_read_is_decided_again(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    ask = asked(ledger)
    train(ledger, ask, [0.5] * 5)
    without(tmp_path / "study" / JOURNAL, "end")
    without(Store(tmp_path).trial_folder(ask.trial.id) / RECORD, "end")
    again = book(tmp_path)
    assert again.ended(ask) is None
    take_up(again, ask)
    Search(STUDY, again, IDENTITY).settle(ask)
    assert again.ended(ask) == COMPLETE


def test_a_trial_whose_reports_cannot_be_read_has_not_ended(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    ask = asked(ledger)
    train(ledger, ask, [0.5] * 5)
    without(Store(tmp_path).trial_folder(ask.trial.id) / RECORD, "report", 3)
    again = book(tmp_path)
    assert again.ended(ask) is None
    assert again.records[ask.trial.id].step == 300
    assert train(again, ask, [0.5] * 5) == COMPLETE
    assert Store(tmp_path).read(ask.trial.id) == again.records[ask.trial.id]
