"""Whether the records of a study are complete, by its header, and what they lack."""

from dataclasses import replace

import pytest

from platform.design.header import header
from platform.methods import SourceOnly
from platform.networks import BiSeNet18
from platform.records.record import Ask, End, Phase, Record, Report, State, StudyHeader
from platform.results.rounds.rounds import has_all
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study

SMALL = Study(
    shift=town(size=(64, 64)),
    arms={"searched": Arm(SourceOnly, learning_rate=LogUniform(1e-3, 1e-1)), "fixed": Arm(SourceOnly)},
    reference="fixed",
    select="source/miou",
    search=ASHA(trials=2),
    budget=Budget(steps=4, evaluations=2),
    seeds=2,
    recipe=Recipe(network=BiSeNet18(width=0.125)),
)
HEADER = header(SMALL, "small", "", {}, "", "")
LONGER = header(replace(SMALL, search=ASHA(trials=3)), "small", "", {}, "", "")
BEST, WORSE = 0.02, 0.01


class Book:
    """Asks and records as a test makes them up."""

    def __init__(self) -> None:
        self.asks: list[Ask] = []
        self.records: dict[str, Record] = {}

    def note(self, arm: str, phase: Phase, seed: int, rate: float, state: State | None = "complete") -> None:
        chosen = {"learning_rate": rate} if arm == "searched" else {}
        trial = SMALL.row(arm).trial(chosen, seed, {})
        number = seed - 1 if phase == "confirm" else sum((ask.arm, ask.phase) == (arm, phase) for ask in self.asks)
        self.asks.append(Ask(arm, phase, number, trial))
        end = None if state is None else End(state, None if state == "complete" else "diverged", "", 4)
        self.records[trial.id] = Record(trial, {}, {}, (Report(4, 1.0, {"source/miou": rate}, {}),), end)

    def whole(self) -> "Book":
        for rate in (WORSE, BEST):
            self.note("searched", "search", 0, rate)
        for seed in (1, 2):
            self.note("searched", "confirm", seed, BEST)
            self.note("fixed", "confirm", seed, 0.0)
        return self

    def complete(self, study: StudyHeader = HEADER) -> bool:
        return has_all(study, self.asks, {arm.name: self.records for arm in study.arms})


def test_records_are_complete_with_all_search_trials_and_the_confirm_trials_of_the_best() -> None:
    assert Book().whole().complete()
    assert not Book().complete()


@pytest.mark.parametrize("number", range(6))
def test_whatever_is_missing_or_has_not_ended_leaves_them_incomplete(number: int) -> None:
    missing, running = Book().whole(), Book().whole()
    ask = missing.asks.pop(number)
    assert not missing.complete()
    running.records[ask.trial.id] = replace(running.records[ask.trial.id], end=None)
    assert not running.complete()


def test_confirm_trials_of_another_choice_do_not_count() -> None:
    """A longer search has found a better trial, and was cut off before that one was confirmed."""
    book = Book().whole()
    assert not book.complete(LONGER)
    book.note("searched", "search", 0, 0.03)
    assert not book.complete(LONGER)
    for seed in (1, 2):
        book.note("searched", "confirm", seed, 0.03)
    assert book.complete(LONGER)


def test_search_trials_of_a_longer_search_do_not_choose_for_a_shorter_one() -> None:
    """The file asks for fewer trials again than the last run did."""
    book = Book().whole()
    book.note("searched", "search", 0, 0.03)
    assert book.complete()


def test_an_arm_whose_whole_search_failed_needs_no_confirm_trials() -> None:
    book = Book()
    for rate in (WORSE, BEST):
        book.note("searched", "search", 0, rate, "failed")
    for seed in (1, 2):
        book.note("fixed", "confirm", seed, 0.0, "failed")
    assert book.complete()
