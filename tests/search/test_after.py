"""Rows that come after others: what their trials begin from, when they may be trained, and when they never will be."""

import dataclasses
from pathlib import Path

import pytest

from platform.design.header import header
from platform.methods import CORAL, AdaBN, MajorityVote, MinEnt, SourceOnly
from platform.networks import BiSeNet18
from platform.records.ledger import Ledger
from platform.records.record import End, Phase, State
from platform.records.store import Store
from platform.records.trial import START_NUMBER
from platform.results.rounds.rounds import has_all
from platform.search.decisions import Search
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study
from tests.support.made_search import report, take_up

ARMS = {
    "AdaBN": Arm(AdaBN).after("source only"),
    "source only": Arm(SourceOnly),
    "searched": Arm(MinEnt, lambda_ent=LogUniform(1e-4, 1e-1)).after("AdaBN", "source only"),
}
STUDY = Study(
    shift=town(size=(64, 64)),
    arms=ARMS,
    reference="source only",
    select="source/miou",
    search=ASHA(trials=2),
    budget=Budget(steps=4, evaluations=2),
    seeds=2,
    recipe=Recipe(network=BiSeNet18(width=0.125)),
)
HEADER = header(STUDY, "small", "", {}, "", "")
Open = list[tuple[Phase, int, tuple[str, ...]]]


class Book:
    """A study whose trials end as a test says."""

    def __init__(self, folder: Path, study: Study = STUDY) -> None:
        self.search = Search(study, Ledger(Store(folder), "small", list(study.arms)), study.shift.identity())

    def open(self, arm: str) -> Open:
        """What may be trained of an arm: phase, number, and what it begins from."""
        return [(ask.phase, ask.number, ask.trial.after) for ask in self.search.open() if ask.arm == arm]

    def train(self, arm: str, state: State | None = "complete") -> str:
        """Take an arm's next trial to its end, or half of the way; its id."""
        ask = next(ask for ask in self.search.open() if ask.arm == arm)
        take_up(self.search, ask)
        for step in (2, 4) if state == "complete" else (2,):
            self.search.ledger.report(ask, report(step))
        if state == "failed":
            self.search.ledger.fail(ask, End("failed", "diverged", "as it was", 2))
        self.search.advance()
        return ask.trial.id

    def complete(self) -> bool:
        return has_all(HEADER, self.search.ledger.asks, self.search.ledger.by_arm())


def test_a_row_waits_for_the_trial_of_its_seed_and_no_other_row_waits(tmp_path: Path) -> None:
    book = Book(tmp_path)
    assert book.open("AdaBN") == []
    first = book.train("source only")
    assert book.open("AdaBN") == [("confirm", 0, (first,))]
    assert book.open("source only") == [("confirm", 1, ()), ("confirm", START_NUMBER, ())]
    book.train("AdaBN")
    assert book.open("AdaBN") == []
    second = book.train("source only")
    assert book.open("AdaBN") == [("confirm", 1, (second,))]


def test_a_trial_that_goes_on_is_no_start(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.train("source only", state=None)
    assert book.open("AdaBN") == []
    assert not book.complete()


def test_searches_begin_from_a_trial_of_its_own_that_no_seed_of_the_table_is(tmp_path: Path) -> None:
    book = Book(tmp_path)
    starts = {arm: [book.train(arm) for _ in range(3)][-1] for arm in ("source only", "AdaBN")}
    assert book.open("source only") == []
    after = (starts["AdaBN"], starts["source only"])
    assert book.open("searched") == [("search", 0, after), ("search", 1, after)]
    for _ in range(2):
        assert not book.complete()
        book.train("searched")
    (phase, number, begins), _ = book.open("searched")
    assert (phase, number) == ("confirm", 0)
    assert set(begins).isdisjoint(starts.values())
    for _ in range(2):
        assert not book.complete()
        book.train("searched")
    assert book.complete()


def test_what_begins_from_a_failed_trial_is_never_open_and_the_others_are(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.train("source only", state="failed")
    assert not book.complete()
    kept = book.train("source only")
    book.train("source only", state="failed")
    assert book.open("AdaBN") == [("confirm", 1, (kept,))]
    assert not book.complete()
    book.train("AdaBN")
    assert [book.open(arm) for arm in ARMS] == [[], [], []]
    assert book.complete()


def test_a_vote_lacks_the_seeds_of_which_one_member_failed(tmp_path: Path) -> None:
    arms = {
        "source only": Arm(SourceOnly),
        "CORAL": Arm(CORAL),
        "vote": Arm(MajorityVote).after("CORAL", "source only"),
    }
    book = Book(tmp_path, dataclasses.replace(STUDY, arms=arms))
    members = [(book.train("CORAL", state), book.train("source only")) for state in ("failed", "complete")]
    assert book.open("vote") == [("confirm", 1, members[1])]
    book.train("vote")
    assert book.open("vote") == []


def test_a_trials_id_has_those_that_it_begins_from() -> None:
    row = STUDY.row("AdaBN")
    assert row.trial({}, 1, {}, ("one",)).id != row.trial({}, 1, {}, ("another",)).id
    again = dataclasses.replace(row.trial({}, 1, {}, ("one",)), after=["one"])  # type: ignore[arg-type]
    assert again == row.trial({}, 1, {}, ("one",))


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ({"a": Arm(AdaBN).after("source onyl")}, "Did you mean 'source only'?"),
        ({"a": Arm(CORAL).after("b"), "b": Arm(CORAL).after("a")}, "an arm must not come after itself, got 'a' after"),
        ({"a": Arm(CORAL).after("a")}, "an arm must not come after itself, got 'a' after 'a'"),
    ],
)
def test_what_cannot_be_put_in_order_is_refused(arms: dict[str, Arm], words: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as error:
        dataclasses.replace(STUDY, arms={"source only": Arm(SourceOnly), **arms})
    assert words in str(error.value)


@pytest.mark.parametrize("names", [(), (1,), ("a", "a"), (Arm(SourceOnly),)])
def test_after_takes_names_of_arms(names: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match="after must be given names of arms, each once, got"):
        Arm(AdaBN).after(*names)  # type: ignore[arg-type]


def test_what_an_arm_comes_after_stays_with_it() -> None:
    arm = Arm(AdaBN).after("source only")
    assert arm.on(gpus=1.0).follows == arm.smoke().follows == ("source only",)
    assert arm.on(gpus=1.0).after("another").share.gpus == 1.0
