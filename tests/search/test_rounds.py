"""Studies that ask for seeds and rows by what the table scores: races, and ablation paths."""

import dataclasses
import math
from pathlib import Path

import pytest

from platform.methods import FDA, AdaBN, Adversarial, MajorityVote, SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.records.ledger import Ledger
from platform.results.aggregation import tabulate as tabulate_by_arm
from platform.results.rounds.rounds import has_all
from platform.shifts import town
from platform.study import ASHA, AblationPath, Arm, Budget, LogUniform, Recipe, Study, ablate
from tests.support.raced_study import Book

RATE = LogUniform(1e-3, 1e-1)
RACED = Study(
    shift=town(size=(64, 64)),
    arms={
        "source only": Arm(SourceOnly, learning_rate=RATE),
        "FDA": Arm(FDA, learning_rate=RATE),
        "adversarial": Arm(Adversarial, learning_rate=RATE),
        "target supervised": Arm(TargetSupervised, learning_rate=RATE),
    },
    reference="source only",
    select="source/miou",
    search=ASHA(trials=2),
    budget=Budget(steps=4, evaluations=2),
    seeds=12,
    race_from=4,
    recipe=Recipe(network=BiSeNet18(width=0.125)),
)
CLOSE = {"source only": 0.3, "FDA": 0.6, "adversarial": 0.61, "target supervised": 0.8}
APART = CLOSE | {"source only": 0.1, "FDA": 0.5, "adversarial": 0.9}
PARTS = {"flips": {"augmentation": "none"}, "adversary": Adversarial, "entropy": {"entropy_weight": 0.0}}
WORTH = {"flips": 0.05, "adversary": 0.2, "entropy": 0.1}
"""How much more of each class is right with a part; entropy's is nothing beside the adversary."""
PATH = dataclasses.replace(
    RACED,
    arms={
        "source only": Arm(SourceOnly, learning_rate=RATE),
        **ablate(Arm(FDA, Adversarial, learning_rate=RATE), PARTS, AblationPath(), name="ours", retuned=True),
    },
    seeds=3,
    race_from=None,
)


def worths(study: Study) -> dict[str, float]:
    """What the rows of the path score."""
    found = {"source only": 0.2}
    for name, arm in study.arms.items():
        if arm.cell is not None:
            has = dict(arm.cell.parts)
            beside = has["adversary"] and has["entropy"]
            found[name] = 0.2 + sum(WORTH[part] for part in has if has[part]) - WORTH["entropy"] * beside
    return found


def test_rows_that_are_told_apart_get_no_more_seeds(tmp_path: Path) -> None:
    book = Book(tmp_path, RACED, APART)
    book.run()
    assert book.seeds() == dict.fromkeys(RACED.arms, 4)
    assert book.is_complete()


def test_rows_that_are_not_get_twice_as_many_up_to_the_bound(tmp_path: Path) -> None:
    book = Book(tmp_path, RACED, CLOSE)
    book.run()
    assert RACED.looks == (4, 8, 12)
    assert book.seeds() == {"source only": 12, "FDA": 12, "adversarial": 12, "target supervised": 4}
    assert book.is_complete()
    assert [*dict.fromkeys(told["FDA"] for told in book.told)] == [4, 8, 12]


def test_only_rows_of_equal_budget_race(tmp_path: Path) -> None:
    book = Book(tmp_path, RACED, APART | {"target supervised": 0.9})
    book.run()
    assert book.seeds()["adversarial"] == 4, "the upper bound scores the same, and is ranked with nobody"


def test_a_race_that_goes_on_decides_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole = Book(tmp_path / "whole", RACED, CLOSE)
    whole.run()
    for trials in (1, 7, 9, 4):
        Book(tmp_path / "cut", RACED, CLOSE).run(trials)
        assert not Book(tmp_path / "cut", RACED, CLOSE).is_complete()
    cut = Book(tmp_path / "cut", RACED, CLOSE)
    cut.run()
    assert {ask.key for ask in cut.ledger.asks} == {ask.key for ask in whole.ledger.asks}
    assert repr(cut.table().rows) == repr(whole.table().rows)


@pytest.mark.parametrize("order", range(5))
def test_the_order_in_which_trials_end_changes_nothing(tmp_path: Path, order: int) -> None:
    study = dataclasses.replace(PATH, seeds=6, race_from=2)
    books = [Book(tmp_path / str(each), study, worths(study), each) for each in (order, 99)]
    for book in books:
        book.run()
    one, other = books
    assert {ask.key for ask in one.ledger.asks} == {ask.key for ask in other.ledger.asks}
    assert one.told == other.told


def test_a_seed_that_failed_for_good_holds_nobody_up(tmp_path: Path) -> None:
    book = Book(tmp_path, RACED, CLOSE | {"source only": 0.6})
    book.run(fails=("FDA",))
    assert book.search.is_over
    assert book.is_complete()
    assert book.seeds() == {"source only": 12, "FDA": 4, "adversarial": 12, "target supervised": 4}


def test_rows_begin_from_as_many_runs_as_those_that_race_need(tmp_path: Path) -> None:
    arms = {
        **RACED.arms,
        "AdaBN": Arm(AdaBN).after("target supervised"),
        "vote": Arm(MajorityVote).after("FDA", "adversarial", "source only"),
    }
    book = Book(tmp_path, dataclasses.replace(RACED, arms=arms), CLOSE | {"AdaBN": 0.7, "vote": 0.3})
    book.run()
    assert book.is_complete()
    asked = book.seeds()
    assert asked["source only"] >= asked["vote"]
    assert asked["target supervised"] >= asked["AdaBN"]


def test_the_table_says_what_the_race_cost_and_misses_no_seed_that_nobody_asked_for(tmp_path: Path) -> None:
    book = Book(tmp_path, RACED, CLOSE)
    book.run()
    table = book.table()
    rows = {row.arm: row for row in table.rows}
    assert [rows[name].scores.seeds for name in CLOSE] == [12, 12, 12, 4]
    assert [row.troubles.seeds_missing for row in table.rows] == [0, 0, 0, 0]
    assert table.notes == ()
    assert table.detectable.tests == 9


def test_a_study_that_was_cut_off_says_which_seeds_are_missing(tmp_path: Path) -> None:
    book = Book(tmp_path, RACED, CLOSE)
    while len(book.told) < 2:
        book.run(1)
    book.run(1)
    missing = {row.arm: row.troubles.seeds_missing for row in book.table().rows}
    assert sum(missing.values()) == 11
    assert missing["target supervised"] == 0


def test_a_path_trains_the_rows_that_its_steps_try_and_no_others(tmp_path: Path) -> None:
    book = Book(tmp_path, PATH, worths(PATH))
    book.run()
    assert book.is_complete()
    trained = {name for name, seeds in book.seeds().items() if seeds}
    cells = {name: dict(arm.cell.parts) for name, arm in PATH.arms.items() if arm.cell is not None}
    by_parts = {frozenset(part for part in has if has[part]): name for name, has in cells.items()}
    # The adversary first; then flips, since entropy adds nothing beside the adversary.
    tried = [(), ("flips",), ("adversary",), ("entropy",), ("adversary", "flips"), ("adversary", "entropy"), PARTS]
    assert trained == {"source only", *(by_parts[frozenset(parts)] for parts in tried)}
    left_out = by_parts[frozenset({"flips", "entropy"})]
    assert book.ledger.asked(left_out) == []
    table = book.table()
    assert left_out not in {row.arm for row in table.rows}
    assert [*table.runs] == [row.arm for row in table.rows]
    assert table.notes == ()


def test_a_path_whose_rows_take_one_search_waits_for_that_alone(tmp_path: Path) -> None:
    arms = ablate(Arm(FDA, Adversarial, learning_rate=RATE), PARTS, AblationPath(), name="ours", retuned=False)
    study = dataclasses.replace(PATH, arms={"source only": Arm(SourceOnly, learning_rate=RATE), **arms})
    book = Book(tmp_path, study, worths(study))
    assert {ask.arm for ask in book.search.open()} == {"source only", "ours"}
    book.run()
    assert book.is_complete()
    assert sum(seeds > 0 for seeds in book.seeds().values()) == 8


def test_a_path_ends_where_all_that_a_step_tries_has_failed(tmp_path: Path) -> None:
    book = Book(tmp_path, PATH, worths(PATH))
    second = {name for name, arm in PATH.arms.items() if arm.cell and sum(has for _, has in arm.cell.parts) == 2}
    book.run(fails=tuple(second))
    assert book.search.is_over
    assert book.is_complete()
    assert book.seeds()["ours"] == 3


def test_rows_race_once_the_path_is_through(tmp_path: Path) -> None:
    study = dataclasses.replace(PATH, seeds=4, race_from=2)
    book = Book(tmp_path, study, worths(study))
    book.run()
    assert book.is_complete()
    assert [max(told.values()) for told in book.told] == sorted(max(told.values()) for told in book.told)
    first_race = next(place for place, told in enumerate(book.told) if max(told.values()) > 2)
    trained = [sum(seeds > 0 for seeds in told.values()) for told in book.told]
    assert trained[first_race - 1] == trained[-1], "no row is new once the race began"


def test_the_reference_may_be_a_row_of_a_path(tmp_path: Path) -> None:
    study = dataclasses.replace(PATH, reference="ours without adversary")
    book = Book(tmp_path, study, worths(study))
    book.run()
    assert book.seeds()["ours without adversary"] == 3
    assert book.is_complete()
    assert {row.arm for row in book.table().rows} >= {"ours without adversary"}


def test_a_round_waits_for_trials_that_lost_their_workers(tmp_path: Path) -> None:
    """By such trials nothing is decided: the next run tries them again, and goes where it would have gone."""
    whole = Book(tmp_path / "whole", PATH, worths(PATH))
    whole.run()
    best = "ours with adversary alone"
    cut = Book(tmp_path / "cut", PATH, worths(PATH))
    cut.run(fails=(best,), retry=True)
    assert not cut.is_complete()
    assert {told[best] for told in cut.told} == {3}
    assert len({frozenset(name for name, seeds in told.items() if seeds) for told in cut.told}) == 1
    assert not any(row.arm.startswith("ours without") for row in cut.table().rows)
    again = Book(tmp_path / "cut", PATH, worths(PATH))
    again.run()
    assert again.is_complete()
    assert {ask.key for ask in again.ledger.asks} == {ask.key for ask in whole.ledger.asks}


@pytest.mark.parametrize("qualities", [CLOSE, APART], ids=["close", "apart"])
def test_what_a_study_asked_for_before_it_raced_decides_nothing(tmp_path: Path, qualities: dict[str, float]) -> None:
    fixed = Book(tmp_path, dataclasses.replace(RACED, seeds=10, race_from=None), qualities)
    fixed.run(20)
    study = dataclasses.replace(RACED, seeds=8)
    raced = Book(tmp_path, study, qualities)
    raced.run()
    alone = Book(tmp_path / "alone", study, qualities)
    alone.run()
    # As a later command reads it: with all that was ever asked for.
    later = Ledger(raced.ledger.store, "raced", list(study.arms))
    assert len(later.asks) > len(raced.ledger.asks)
    assert has_all(raced.header, later.asks, later.by_arm())
    table = tabulate_by_arm(raced.header, later.asks, later.by_arm())
    assert [row.scores.seeds for row in table.rows] == [row.scores.seeds for row in alone.table().rows]
    assert [row.troubles.seeds_missing for row in table.rows] == [0, 0, 0, 0]


def test_the_rows_that_race_are_those_that_the_table_ranks(tmp_path: Path) -> None:
    """Of the most frequent budget among the rows that are trained: those that the path leaves out are not counted."""
    path = ablate(Arm(FDA, Adversarial), PARTS, AblationPath(), name="ours")
    searched = {f"FDA {number}": Arm(FDA, learning_rate=RATE, beta=0.01 * (number + 1)) for number in range(8)}
    study = dataclasses.replace(RACED, arms={**searched, **path}, reference="FDA 0", seeds=6, race_from=3)
    qualities = dict.fromkeys(searched, 0.5) | dict.fromkeys(path, 0.3)
    book = Book(tmp_path, study, qualities)
    book.run()
    ranked = {row.arm for row in book.table().rows if not math.isnan(row.comparison.ranks.best)}
    assert ranked == {*searched}
    assert {name for name, seeds in book.seeds().items() if seeds > 3} <= ranked
