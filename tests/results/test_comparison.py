"""Rows beside each other: what is told from chance, by numbers of their own and by scipy and statsmodels."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from platform.results.comparison import NO_DIFFERENCE, Difference, compared, detectable, judged, paired
from platform.results.statistics.gap import NO_SHARE
from platform.results.statistics.intervals import LEAST_BOOTSTRAPPED, NO_BOUNDS
from platform.results.statistics.power import smallest_difference
from platform.results.statistics.ranks import UNRANKED, Ranks
from tests.support.invented_study import arm, full, made, study
from tests.support.seen_alike import tabulate
from tests.support.tabulated import row

NAMES = ("source only", "weak", "strong", "supervised")


def scores(seeds: int, spread: float = 0.01) -> dict[str, dict[int, float]]:
    drawn = np.random.default_rng(4).normal(np.asarray([0.2, 0.21, 0.3, 0.5])[:, None], spread, (4, seeds))
    return {name: dict(enumerate(values.tolist(), start=1)) for name, values in zip(NAMES, drawn, strict=True)}


def made_of(seeds: int) -> dict[str, np.ndarray]:
    return {name: np.asarray([*each.values()]) for name, each in scores(seeds).items()}


@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_differences_to_the_reference_are_those_of_scipy_and_statsmodels(seeds: int) -> None:
    mious, values = scores(seeds), made_of(seeds)
    found = compared(mious, {name: {} for name in NAMES}, 0, "source only", NAMES[:3], ("source only", "supervised"))
    others = NAMES[1:]
    p_values = [stats.ttest_rel(values[name], values["source only"]).pvalue for name in others]
    flips = [
        stats.permutation_test(
            (values[name] - values["source only"],),
            np.mean,
            permutation_type="samples",
            n_resamples=2**seeds,
        ).pvalue
        for name in others
    ]
    told = zip(multipletests(p_values, method="holm")[1], multipletests(flips, method="holm")[1], strict=True)
    for name, (p, flip) in zip(others, told, strict=True):
        to_reference = found[name].to_reference
        assert to_reference.p == pytest.approx(p)
        reachable = 3 * 2 / 2**seeds <= 0.05
        assert to_reference.sign_flip == pytest.approx(flip) if reachable else math.isnan(to_reference.sign_flip)
        assert (to_reference.bootstrap != NO_BOUNDS) is (seeds >= LEAST_BOOTSTRAPPED)
        assert to_reference.seeds == seeds


def test_what_can_be_shown_follows_from_the_pooled_spread() -> None:
    mious, values = scores(5), made_of(5)
    found = detectable(mious, "source only", 5)
    deviation = math.sqrt(np.mean([np.var(values[name] - values["source only"], ddof=1) for name in NAMES[1:]]))
    assert (found.seeds, found.comparisons) == (5, 3)
    assert found.deviation == pytest.approx(deviation)
    power = TTestPower().power(found.difference / deviation, 5, 0.05 / 3, alternative="two-sided")
    assert power == pytest.approx(0.8, abs=1e-4)
    rows = compared(mious, {name: {} for name in NAMES}, 0, "source only", (), None)
    assert rows["weak"].to_reference.detectable == found.difference


def test_a_difference_is_told_by_its_p_and_by_what_seeds_can_find() -> None:
    told = Difference(5, 0.1, 0.02, p=0.01, detectable=0.05)
    assert told.told
    assert dataclasses.replace(told, miou=-0.1).told
    assert not dataclasses.replace(told, p=0.051).told
    assert not dataclasses.replace(told, miou=0.049).told, (
        "seeds would miss one of that size more often than one time in five"
    )
    assert not dataclasses.replace(told, p=math.nan).told
    assert not NO_DIFFERENCE.told


def test_a_lucky_small_spread_gives_no_mark() -> None:
    samples = {"lucky": [0.010, 0.0101, 0.0099], "usual": [0.05, 0.01, 0.03], "other": [0.0, -0.03, 0.02]}
    found = judged(samples)
    assert found["lucky"].p <= 0.05
    assert not found["lucky"].told


def test_rows_that_ran_the_references_trials_make_no_difference_markable() -> None:
    """They are compared as others are, and have no spread that would make that of others look smaller."""
    random = np.random.default_rng(2)
    differing = {name: random.normal(0.02, 0.02, 5).tolist() for name in ("weak", "strong")}
    found = judged({**differing, "same": [0.0] * 5, "twin": differing["weak"]})
    deviation = math.sqrt(np.mean([np.var(values, ddof=1) for values in differing.values()]))
    assert found["strong"].detectable == pytest.approx(smallest_difference(deviation, 5, 4))
    assert not found["same"].told
    assert found["twin"] == found["weak"]


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_of_twenty_tables_without_a_difference_one_has_a_small_p_and_none_a_mark(seeds: int) -> None:
    """Of whole tables: differences to the reference, to the best row and by class, and ranks."""
    random, names, tables = np.random.default_rng(seeds), ("reference", "a", "b", "c"), 400
    small = marked = 0
    for _ in range(tables):
        ious = {name: random.normal(0.3, 0.02, (seeds, 3)) for name in names}
        mious = {name: dict(enumerate(iou.mean(axis=1).tolist())) for name, iou in ious.items()}
        by_class = {name: dict(enumerate(iou.tolist())) for name, iou in ious.items()}
        found = compared(mious, by_class, 3, "reference", names, None).values()
        small += any(each.to_reference.p <= 0.05 for each in found)
        every = [each for row in found for each in (row.to_reference, row.to_best, *row.classes)]
        marked += any(each.told for each in every) or {row.ranks for row in found} != {Ranks(1, len(names))}
    assert 0 < small / tables <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / tables)
    assert marked / tables <= 0.05


def test_the_best_has_the_highest_mean_over_the_seeds_that_all_have() -> None:
    """Seeds 1 to 4 are hard, and the row that is best on them has no others."""
    hard, easy = [1, 2, 3, 4], [5, 6, 7, 8]
    mious = {
        "few": {seed: 0.48 + 0.001 * seed for seed in hard},
        "many": {seed: 0.45 + 0.002 * seed for seed in hard} | dict.fromkeys(easy, 0.56),
        "more": {seed: 0.44 + 0.001 * seed for seed in hard} | dict.fromkeys(easy, 0.57),
    }
    found = compared(mious, {name: {} for name in mious}, 0, "few", [*mious], None)
    assert [name for name in mious if found[name].is_best] == ["few"]
    assert found["many"].to_best.miou < 0
    apart = {"a": {1: 0.5, 2: 0.6}, "b": {3: 0.9, 4: 0.8}}
    found = compared(apart, {name: {} for name in apart}, 0, "a", [*apart], None)
    assert found["b"].is_best, "of rows that share no seed, that of the highest mean"


def test_the_sign_flip_test_to_the_best_is_adjusted_for_all_pairs() -> None:
    values = made_of(12)
    found = compared(scores(12), {name: {} for name in NAMES}, 0, "source only", NAMES[:3], None)
    flips = [
        stats.permutation_test(
            (values[one] - values[other],), np.mean, permutation_type="samples", n_resamples=2**12
        ).pvalue
        for one, other in [("source only", "weak"), ("source only", "strong"), ("weak", "strong")]
    ]
    adjusted = multipletests(flips, method="holm")[1]
    assert found["source only"].to_best.sign_flip == pytest.approx(adjusted[1])
    assert found["weak"].to_best.sign_flip == pytest.approx(adjusted[2])
    few = compared(scores(5), {name: {} for name in NAMES}, 0, "source only", NAMES[:3], None)
    assert math.isnan(few["weak"].to_best.sign_flip), "three pairs of five seeds cannot reach 0.05"


def test_the_best_is_compared_with_all_that_have_its_budget() -> None:
    mious, values = scores(5), made_of(5)
    found = compared(mious, {name: {} for name in NAMES}, 0, "source only", NAMES[:3], None)
    assert found["strong"].to_best == NO_DIFFERENCE
    assert found["supervised"].to_best == NO_DIFFERENCE
    assert found["supervised"].ranks == UNRANKED
    assert found["strong"].ranks == Ranks(1, 1)
    pairs = [("source only", "weak"), ("source only", "strong"), ("weak", "strong")]
    adjusted = multipletests([stats.ttest_rel(values[a], values[b]).pvalue for a, b in pairs], method="holm")[1]
    assert found["weak"].to_best.p == pytest.approx(adjusted[2])
    assert found["weak"].to_best.miou == pytest.approx(np.mean(values["weak"] - values["strong"]))


@pytest.mark.parametrize("seeds", [3, 5])
def test_all_true_ranks_are_held_at_once_in_95_of_100_studies(seeds: int) -> None:
    truth = np.asarray([0.1, 0.12, 0.12, 0.2])
    possible = [{int(np.sum(truth > each)) + 1, int(np.sum(truth >= each))} for each in truth]
    drawn = np.random.default_rng(2).normal(truth[:, None], 0.02, (1000, 4, seeds))
    held = []
    for rows in drawn:
        mious = {name: dict(enumerate(values.tolist())) for name, values in zip(NAMES, rows, strict=True)}
        found = compared(mious, {name: {} for name in NAMES}, 0, NAMES[0], NAMES, None)
        places = [found[name].ranks for name in NAMES]
        held.append(
            all(each.best <= min(true) and max(true) <= each.worst for each, true in zip(places, possible, strict=True))
        )
    assert np.mean(held) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 1000)


def test_a_rank_is_told_where_the_difference_to_the_best_is_marked() -> None:
    found = compared(scores(5), {name: {} for name in NAMES}, 0, "source only", NAMES[:3], None)
    for name in NAMES[:2]:
        assert (found[name].ranks.best > found["strong"].ranks.best) is found[name].to_best.told
    assert found["weak"].to_best.told


def test_pairs_are_of_shared_seeds_in_their_order() -> None:
    assert paired({3: 0.5, 1: 0.2}, {1: 0.1, 2: 9.0, 3: 0.1}) == [pytest.approx(0.1), pytest.approx(0.4)]


def test_runs_above_and_the_gap() -> None:
    mious = {
        "source only": {1: 0.1, 2: 0.2},
        "weak": {1: 0.15, 2: 0.15},
        "strong": {1: 0.3, 2: 0.4},
        "supervised": {1: 0.5, 2: 0.6},
    }
    found = compared(mious, {name: {} for name in NAMES}, 0, "source only", (), ("source only", "supervised"))
    assert math.isnan(found["source only"].improvement)
    assert (found["weak"].improvement, found["strong"].improvement) == (0.5, 1.0)
    assert found["strong"].gap.value == pytest.approx(0.5)
    assert found["weak"].gap.value == pytest.approx(0.0)
    assert found["source only"].gap is found["supervised"].gap is NO_SHARE


def test_classes_of_all_rows_are_tested_together() -> None:
    random = np.random.default_rng(2)
    ious = {name: {seed: tuple(random.uniform(0, 1, 4).tolist()) for seed in range(1, 6)} for name in NAMES}
    for seed in range(1, 6):
        ious["strong"][seed] = (*ious["strong"][seed][:3], math.nan if seed == 5 else 0.2 * seed)
    found = compared(scores(5), ious, 4, "source only", (), None)
    samples = {
        (name, place): [
            ious[name][seed][place] - ious["source only"][seed][place]
            for seed in range(1, 6)
            if not math.isnan(ious[name][seed][place])
        ]
        for name in NAMES[1:]
        for place in range(4)
    }
    adjusted = multipletests([stats.ttest_1samp(each, 0).pvalue for each in samples.values()], method="holm")[1]
    for (name, place), p in zip(samples, adjusted, strict=True):
        difference = found[name].classes[place]
        assert difference.p == pytest.approx(p)
        assert difference.seeds == len(samples[name, place])
        assert difference.miou == pytest.approx(np.mean(samples[name, place]))
    assert found["source only"].classes == (NO_DIFFERENCE,) * 4


# In a study's table


def test_rows_of_another_budget_have_no_rank() -> None:
    header = study(*map(arm, ("source only", "FDA", "fixed", "after", "few", "target supervised")))
    arms = {each.name: each for each in header.arms}
    arms["fixed"] = dataclasses.replace(arms["fixed"], searched={}, search_trials=0)
    arms["after"] = dataclasses.replace(arms["after"], after=("source only",))
    arms["few"] = dataclasses.replace(arms["few"], few=5)
    header = dataclasses.replace(header, arms=tuple(arms.values()))
    table = tabulate(header, *full(header, dict.fromkeys(arms, 0.4) | {"FDA": 0.6}))
    ranked = [each.arm for each in table.rows if not math.isnan(each.comparison.ranks.best)]
    assert ranked == ["source only", "FDA"]
    assert table.best == "FDA"


def test_the_gap_lies_between_what_sees_nothing_of_the_target_and_what_knows_its_labels() -> None:
    *_, table = made("source only", "FDA", "target supervised")
    assert table.bounds == ("source only", "target supervised")
    source, fda, bound = (row(table, name).scores.miou for name in ("source only", "FDA", "target supervised"))
    assert row(table, "FDA").comparison.gap.value == pytest.approx((fda - source) / (bound - source))


@pytest.mark.parametrize(
    ("names", "reference", "expected"),
    [
        (("FDA", "target supervised"), "FDA", None),
        (("source only", "FDA"), "source only", None),
        (("source only", "source only, wide", "target supervised"), "source only, wide", "source only, wide"),
        (("source only", "source only, wide", "FDA", "target supervised"), "FDA", None),
        (("source only", "FDA", "target supervised"), "FDA", "source only"),
        (("source only", "target supervised", "few-step target supervised"), "source only", None),
    ],
)
def test_which_rows_bound_the_gap_must_be_plain(names: tuple[str, ...], reference: str, expected: str | None) -> None:
    header = study(*map(arm, names), reference=reference)
    table = tabulate(header, *full(header, dict.fromkeys(names, 0.4)))
    assert table.bounds == (None if expected is None else (expected, "target supervised"))
