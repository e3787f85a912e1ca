"""Rows that take the values which another row's search has chosen: what they train, and when."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from platform.commands.terminal.plan import describe
from platform.design.header import header
from platform.design.plan import plan
from platform.methods import FDA, AdaBN, Adversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.records.ledger import Ledger
from platform.records.record import Ask, End, Report
from platform.records.store import Store
from platform.results.rounds.rounds import has_all
from platform.search.decisions import Search
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, Integers, LogUniform, Recipe, Study
from tests.support.made_search import report, take_up

RANGES: dict[str, Any] = {"learning_rate": LogUniform(1e-3, 1e-1), "beta": LogUniform(0.01, 0.2)}
ARMS = {
    "without flips": Arm(FDA, augmentation="none", **RANGES).tuned_as("FDA"),
    "FDA": Arm(FDA, **RANGES),
    "with the adversary": Arm(FDA, Adversarial, width=16, **RANGES).tuned_as("FDA"),
    "fixed rate": Arm(FDA, beta=RANGES["beta"], learning_rate=0.5).tuned_as("FDA"),
}


def study(arms: dict[str, Arm] | None = None, trials: int = 3) -> Study:
    return Study(
        shift=town(size=(64, 64)),
        arms=ARMS if arms is None else arms,
        reference="FDA",
        select="source/miou",
        search=ASHA(trials=trials),
        budget=Budget(steps=4, evaluations=2),
        seeds=2,
        recipe=Recipe(network=BiSeNet18(width=0.125)),
    )


class Book:
    """A study whose trials end as a test says."""

    def __init__(self, folder: Path, made: Study) -> None:
        self.made = made
        self.search = Search(made, Ledger(Store(folder), "small", list(made.arms)), made.shift.identity())

    def open(self, arm: str) -> list[Ask]:
        return [ask for ask in self.search.open() if ask.arm == arm]

    def train(self, arm: str, score: float = 0.5, *, fails: bool = False) -> Ask:
        """Take an arm's next trial to its end, or let it fail."""
        ask = self.open(arm)[0]
        take_up(self.search, ask)
        for step in (2,) if fails else (2, 4):
            made: Report = report(step)
            self.search.ledger.report(ask, dataclasses.replace(made, metrics=made.metrics | {"source/miou": score}))
        if fails:
            self.search.ledger.fail(ask, End("failed", "diverged", "as it was", 2))
        self.search.advance()
        return ask

    def complete(self) -> bool:
        head = header(self.made, "small", "", {}, "", "")
        return has_all(head, self.search.ledger.asks, self.search.ledger.by_arm())


def test_rows_wait_for_the_search_and_then_have_its_values_and_their_own(tmp_path: Path) -> None:
    book = Book(tmp_path, study())
    scores = [0.2, 0.7, 0.4]
    searched = []
    for score in scores:
        assert [book.open(arm) for arm in ARMS if arm != "FDA"] == [[], [], []]
        assert not book.complete()
        searched.append(book.train("FDA", score))
    best = searched[1].trial
    for arm in ARMS:
        asks = book.open(arm)
        assert [(ask.phase, ask.number, ask.trial.seed) for ask in asks] == [("confirm", 0, 1), ("confirm", 1, 2)]
        for ask in asks:
            assert ask.trial.hyperparameters["beta"] == best.hyperparameters["beta"]
            assert ask.trial.resolved == best.resolved
            rate = 0.5 if arm == "fixed rate" else best.recipe["learning_rate"]
            assert ask.trial.recipe["learning_rate"] == rate
    assert {ask.trial.recipe["augmentation"] for ask in book.open("without flips")} == {"none"}
    for arm in ARMS:
        for _ in range(2):
            assert not book.complete()
            book.train(arm)
    assert book.complete()


def test_a_study_that_goes_on_asks_for_the_same_trials(tmp_path: Path) -> None:
    book = Book(tmp_path, study())
    for score in (0.2, 0.7, 0.4):
        book.train("FDA", score)
    again = Book(tmp_path, study())
    assert [ask.trial.id for ask in again.search.open()] == [ask.trial.id for ask in book.search.open()]


def test_what_searches_longer_and_chooses_anew_has_the_rows_trained_anew(tmp_path: Path) -> None:
    book = Book(tmp_path, study())
    for score in (0.2, 0.7, 0.4):
        book.train("FDA", score)
    for arm in ARMS:
        for _ in range(2):
            book.train(arm)
    assert book.complete()
    longer = Book(tmp_path, study(trials=4))
    assert not longer.complete()
    best = longer.train("FDA", 0.9).trial
    for arm in ARMS:
        betas = {ask.trial.hyperparameters["beta"] for ask in longer.open(arm)}
        assert betas == {best.hyperparameters["beta"]}
        assert not longer.complete()
        for _ in range(2):
            longer.train(arm)
    assert longer.complete()


def test_nothing_is_asked_where_the_whole_search_failed(tmp_path: Path) -> None:
    book = Book(tmp_path, study())
    for _ in range(3):
        book.train("FDA", fails=True)
    assert [book.open(arm) for arm in ARMS] == [[], [], [], []]
    assert book.complete()


def test_a_row_may_come_after_others_as_well(tmp_path: Path) -> None:
    arms = ARMS | {"later": Arm(FDA, batch=2, **RANGES).tuned_as("FDA").after("without flips")}
    book = Book(tmp_path, study(arms))
    for score in (0.2, 0.7, 0.4):
        book.train("FDA", score)
    assert book.open("later") == []
    first = book.train("without flips")
    assert [ask.trial.after for ask in book.open("later")] == [(first.trial.id,)]
    assert not any(row.starts_searches for row in study(arms).rows), "it has no search that begins from anything"


def test_the_plan_says_whose_values_a_row_takes_and_counts_no_search_of_its_own() -> None:
    made = study()
    assert [row.search_trials for row in made.rows] == [0, 3, 0, 0]
    assert plan(made).warnings == ()
    text = describe(made, "small")
    assert "tuned         as FDA: learning_rate, beta by its search" in text
    assert max(map(len, text.splitlines())) <= 80


def test_headers_name_the_row_and_the_ranges() -> None:
    arms = {arm.name: arm for arm in header(study(), "small", "", {}, "", "").arms}
    assert arms["fixed rate"].tuned_as == "FDA"
    assert arms["fixed rate"].searched == {"beta": str(RANGES["beta"])}
    assert arms["fixed rate"].search_trials == 0
    assert arms["FDA"].tuned_as == ""


RATE = RANGES["learning_rate"]


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        (
            {"a": Arm(FDA, **RANGES).tuned_as("FDAs")},
            "arm 'a': what it is tuned as must be one of the arms, 'without flips', 'FDA'",
        ),
        (
            {"a": Arm(FDA, **RANGES).tuned_as("a")},
            "arm 'a' must be tuned as an arm that searches, and 'a' searches nothing of its own",
        ),
        (
            {"a": Arm(FDA, **RANGES).tuned_as("b"), "b": Arm(FDA, batch=2, **RANGES).tuned_as("FDA")},
            "arm 'a' must be tuned as an arm that searches, and 'b' searches nothing of its own",
        ),
        (
            {"a": Arm(FDA, **RANGES).tuned_as("b"), "b": Arm(SourceOnly)},
            "arm 'a' must be tuned as an arm that searches, and 'b' searches nothing",
        ),
        (
            {"a": Arm(FDA, momentum=LogUniform(0.1, 0.9)).tuned_as("FDA")},
            "arm 'a' takes momentum from the search of 'FDA', which must be over the same range, LogUniform(0.1, 0.9), "
            "and has no range; give both the same",
        ),
        (
            {"a": Arm(FDA, learning_rate=LogUniform(1e-3, 1.0)).tuned_as("FDA")},
            "which must be over the same range, LogUniform(0.001, 1.0), and has LogUniform(0.001, 0.1)",
        ),
        (
            {"a": Arm(FDA, learning_rate=RATE).tuned_as("b"), "b": Arm(FDA, learning_rate=RATE).after("a")},
            "an arm must not come after itself, got",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(arms: dict[str, Arm], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        study(ARMS | arms)


@pytest.mark.parametrize("name", ["", None, 3, ("FDA",)])
def test_tuned_as_takes_one_name(name: Any) -> None:
    with pytest.raises(ValueError, match="tuned_as must be given the name of an arm"):
        Arm(FDA, **RANGES).tuned_as(name)


def test_an_arm_without_ranges_takes_no_values() -> None:
    with pytest.raises(ValueError, match=r"what is tuned as 'FDA' must have ranges, .* and AdaBN has none"):
        Arm(AdaBN).tuned_as("FDA")


def test_a_smoke_run_keeps_it() -> None:
    arm = Arm(Adversarial, width=Integers(8, 16)).tuned_as("whole")
    assert arm.smoke().tuner == "whole"
    assert not arm.searches
