"""Races by simulation: which rows get more seeds, and that what a raced table says holds as often as it says."""

import numpy as np
import pytest
from scipy import stats

from platform.records.trial import confirm_seed
from platform.results.comparison import compared, detectable
from platform.results.rounds.race import raced
from platform.results.statistics.gap import share
from platform.results.statistics.intervals import interval
from platform.results.statistics.power import smallest_difference
from platform.results.statistics.significance import holm

LOOKS = (3, 6, 12)
ROWS = 5
STUDIES = 1000
Scores = dict[str, dict[int, float]]


def drawn(random: np.random.Generator, means: np.ndarray, deviation: float = 1.0) -> Scores:
    """All scores that rows would have on all seeds; what a seed adds to all of them cancels in pairs."""
    shared = random.normal(0, 2, LOOKS[-1])
    return {
        f"row {row}": {
            confirm_seed(number): float(mean + shared[number] + random.normal(0, deviation))
            for number in range(LOOKS[-1])
        }
        for row, mean in enumerate(means)
    }


def as_run(scores: Scores, looks: tuple[int, ...] = LOOKS) -> Scores:
    """The scores that a study has in the end, which asks round by round."""
    asked = dict.fromkeys(scores, 0)
    while (seeds := raced(held(scores, asked), asked, looks)) != asked:
        assert all(seeds[name] >= asked[name] for name in scores), "nothing that was asked for is taken back"
        asked = seeds
    return held(scores, asked)


def held(scores: Scores, asked: dict[str, int]) -> Scores:
    return {name: {seed: runs[seed] for seed in map(confirm_seed, range(asked[name]))} for name, runs in scores.items()}


def test_only_rows_that_are_near_each_other_go_on() -> None:
    means = np.asarray([0.0, 1000.0, 1000.1, 2000.0])
    seeds = {name: len(runs) for name, runs in as_run(drawn(np.random.default_rng(1), means)).items()}
    assert seeds == {"row 0": 3, "row 1": 12, "row 2": 12, "row 3": 3}


def test_a_row_goes_on_until_it_is_told_from_the_others() -> None:
    means = np.asarray([0.0, 1000.0, 1008.0, 2000.0])
    seeds = {name: len(runs) for name, runs in as_run(drawn(np.random.default_rng(1), means)).items()}
    assert seeds == {"row 0": 3, "row 1": 6, "row 2": 6, "row 3": 3}


def test_one_row_has_nobody_to_race_with() -> None:
    assert raced({"alone": {1: 0.5}}, {"alone": 3}, LOOKS) == {"alone": 3}
    assert raced({}, {}, LOOKS) == {}


def test_what_is_asked_for_follows_from_the_looks_that_were_taken_alone() -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        scores = drawn(random, random.normal(0, 5, ROWS))
        # As many seeds on record as there may be, of an earlier study that did not race.
        every = raced(scores, dict.fromkeys(scores, LOOKS[-1]), LOOKS)
        assert every == {name: len(runs) for name, runs in as_run(scores).items()}


@pytest.mark.parametrize("means", [np.zeros(ROWS), np.asarray([0.0, 0.0, 0.0, 5.0, 9.0])], ids=["equal", "some apart"])
def test_a_raced_table_errs_anywhere_as_seldom_as_one_of_equal_seeds(means: np.ndarray) -> None:
    """By p alone, to the reference, of rows that equal it; a mark asks for more."""
    random = np.random.default_rng(7)
    errs = 0
    for _ in range(STUDIES):
        scores = as_run(drawn(random, means))
        found = compared(scores, {name: {} for name in scores}, 0, "row 0", [*scores], None, len(LOOKS))
        equal = [name for name, mean in zip(scores, means, strict=True) if mean == means[0] and name != "row 0"]
        errs += any(found[name].to_reference.p <= 0.05 for name in equal)
    assert errs / STUDIES <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / STUDIES)
    assert errs > 0, "and it does: the correction is not endless"


def test_the_interval_of_a_raced_row_holds_its_mean() -> None:
    random = np.random.default_rng(11)
    means = np.asarray([0.0, 0.0, 3.0, 6.0, 20.0])
    held_by, differences_held, uncorrected = list[bool](), list[bool](), list[bool]()
    for _ in range(STUDIES // 2):
        scores = as_run(drawn(random, means))
        for (name, runs), mean in zip(scores.items(), means, strict=True):
            middle, half = interval([*runs.values()], len(LOOKS))
            held_by.append(abs(middle - mean) <= half)
            differences = [runs[seed] - scores["row 0"][seed] for seed in runs if seed in scores["row 0"]]
            if name != "row 0":
                for looks, held_so in ((len(LOOKS), differences_held), (1, uncorrected)):
                    middle, half = interval(differences, looks)
                    held_so.append(abs(middle - mean) <= half)
    assert np.mean(held_by) >= 0.95
    assert np.mean(differences_held) >= 0.95
    assert np.mean(uncorrected) < np.mean(differences_held)


@pytest.mark.parametrize("looks", [1, 2, 4])
def test_each_look_has_its_share_of_the_level(looks: int) -> None:
    random = np.random.default_rng(3)
    values = random.normal(1, 1, 6).tolist()
    middle, half = interval(values, looks)
    low, high = stats.t.interval(1 - 0.05 / looks, 5, loc=np.mean(values), scale=stats.sem(values))
    assert (middle - half, middle + half) == pytest.approx((low, high))
    p_values = {each: float(p) for each, p in enumerate(random.uniform(0, 0.1, 4))}
    once = holm(p_values)
    assert holm(p_values, looks) == pytest.approx({each: min(1.0, looks * p) for each, p in once.items()})
    scores = {name: dict(enumerate(random.normal(0, 1, 6))) for name in "abc"}
    able = detectable(scores, "a", 6, looks)
    assert able.difference == pytest.approx(smallest_difference(able.deviation, 6, 2 * looks))
    found = compared(scores, {name: {} for name in scores}, 0, "a", [*scores], ("a", "c"), looks)
    alone = compared(scores, {name: {} for name in scores}, 0, "a", [*scores], ("a", "c"))
    for name in "bc":
        assert found[name].to_reference.p == pytest.approx(min(1, looks * alone[name].to_reference.p))
        assert found[name].to_reference.miou_ci >= alone[name].to_reference.miou_ci
    gains, gaps = random.normal(1, 0.1, 8).tolist(), random.normal(3, 0.1, 8).tolist()
    wide, narrow = share(gains, gaps, looks).bounds, share(gains, gaps).bounds
    assert (wide.low <= narrow.low, wide.high >= narrow.high) == (True, True)


def test_the_bootstrap_has_no_place_in_a_race() -> None:
    random = np.random.default_rng(2)
    scores = {name: dict(enumerate(random.normal(0, 1, 12))) for name in "ab"}
    bounds = [
        compared(scores, {name: {} for name in scores}, 0, "a", [*scores], None, looks)["b"].to_reference.bootstrap
        for looks in (1, 3)
    ]
    assert [np.isnan(each.low) for each in bounds] == [False, True]


def test_a_race_saves_seeds_where_rows_are_apart() -> None:
    random = np.random.default_rng(13)
    near = [len(runs) for runs in as_run(drawn(random, np.zeros(ROWS))).values()]
    apart = [len(runs) for runs in as_run(drawn(random, 200.0 * np.arange(ROWS))).values()]
    assert near == [12] * ROWS
    assert apart == [3] * ROWS
