"""Rows that come after others: what their trials begin from, when they are due, and when they never will be."""

import dataclasses

import pytest

from platform.design.header import header
from platform.methods import CORAL, AdaBN, MinEnt, SourceOnly
from platform.networks import BiSeNet18
from platform.records.record import Ask, End, Record, Report, State
from platform.records.trial import SEARCH_SEED, START_NUMBER, confirm_seed
from platform.search.due import Due, due, is_complete, wanted
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study

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
WANTED = {each.arm: each for each in wanted(header(STUDY, "small", "", {}, "", ""))}


class Book:
    """Asks and records as a test makes them up."""

    def __init__(self) -> None:
        self.asks: list[Ask] = []
        self.records: dict[str, Record] = {}

    def due(self, arm: str) -> Due | None:
        return due(WANTED[arm], self.asks, dict.fromkeys(WANTED, self.records))

    def note(self, arm: str, state: State | None = "complete") -> str:
        """Ask for what is due of an arm, and end it; its id."""
        found = self.due(arm)
        assert found is not None
        seed = confirm_seed(found.number) if found.phase == "confirm" else SEARCH_SEED
        number = found.number
        values = {"lambda_ent": 0.001 * (number + 1)} if arm == "searched" and found.phase == "search" else found.values
        trial = STUDY.row(arm).trial(values, seed, {}, found.after)
        self.asks.append(Ask(arm, found.phase, number, trial))
        end = None if state is None else End(state, None if state == "complete" else "diverged", "", 4)
        self.records[trial.id] = Record(trial, {}, {}, (Report(4, 1.0, {"source/miou": 0.1}, {}),), end)
        return trial.id

    def complete(self) -> bool:
        return is_complete(WANTED.values(), self.asks, dict.fromkeys(WANTED, self.records))


def test_a_row_waits_for_the_trial_of_its_seed_and_no_other_row_waits() -> None:
    book = Book()
    assert book.due("AdaBN") is None
    first = book.note("source only")
    assert book.due("AdaBN") == Due("confirm", 0, {}, (first,))
    assert book.due("source only") == Due("confirm", 1, {})
    book.note("AdaBN")
    assert book.due("AdaBN") is None
    second = book.note("source only")
    assert book.due("AdaBN") == Due("confirm", 1, {}, (second,))


def test_a_trial_that_goes_on_is_no_start() -> None:
    book = Book()
    book.note("source only", state=None)
    assert book.due("AdaBN") is None


def test_searches_begin_from_a_trial_of_its_own_that_no_seed_of_the_table_is() -> None:
    book = Book()
    starts = {arm: [book.note(arm) for _ in range(3)][-1] for arm in ("source only", "AdaBN")}
    assert [ask.number for ask in book.asks if ask.arm == "source only"] == [0, 1, START_NUMBER]
    assert book.due("source only") is None
    assert book.due("searched") == Due("search", 0, {}, (starts["AdaBN"], starts["source only"]))
    for _ in range(2):
        book.note("searched")
    found = book.due("searched")
    assert found is not None
    assert (found.phase, found.number) == ("confirm", 0)
    assert set(found.after).isdisjoint(starts.values())


def test_what_begins_from_a_failed_trial_is_never_due_and_the_others_are() -> None:
    book = Book()
    book.note("source only", state="failed")
    assert not book.complete()
    kept = book.note("source only")
    book.note("source only", state="failed")
    assert book.due("AdaBN") == Due("confirm", 1, {}, (kept,))
    book.note("AdaBN")
    assert [book.due(arm) for arm in ARMS] == [None, None, None]
    assert book.complete()


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
    assert arm.on(gpus=1.0).follows == arm.without({"batch"}).follows == ("source only",)
    assert arm.on(gpus=1.0).after("another").share.gpus == 1.0
