"""Effects from records: against least squares, by the coverage of their intervals, and where runs are missing."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from platform.design.ablation.contrasts import contrasts
from platform.design.ablation.designs import Design
from platform.records.record import ArmHeader
from platform.results.ablation.effects import Ablation, ablations, effects
from platform.results.table import Table
from platform.scores import metrics
from platform.study import AddOneIn, FractionalFactorial, FullFactorial, LeaveOneOut
from tests.support import invented_study
from tests.support.ablated import ablated
from tests.support.designs import cells_of
from tests.support.seen_alike import tabulate
from tests.support.tabulated import row

SEEDS = (1, 2, 3, 4, 5)


def noisy(
    design: Design,
    parts: int,
    seeds: tuple[int, ...],
    random: np.random.Generator,
    worth: Mapping[tuple[int, ...], float],
) -> dict[str, dict[int, float]]:
    """Scores by row and seed: terms of parts, what a seed has in common, and noise of each run's own."""
    common = {seed: float(random.normal(0, 0.1)) for seed in seeds}
    return {
        str(levels): {
            seed: 0.4
            + common[seed]
            + sum(value / 2 * math.prod(1 if levels[part] else -1 for part in term) for term, value in worth.items())
            + float(random.normal(0, 0.01))
            for seed in seeds
        }
        for levels in design.rows(parts)
    }


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_effects_of_a_full_factorial_are_those_of_least_squares_with_seeds_as_blocks(parts: int) -> None:
    random = np.random.default_rng(parts)
    worth = {(0,): 0.05, (1,): -0.03, (0, 1): 0.02}
    design = FullFactorial()
    scores, cells = noisy(design, parts, SEEDS, random, worth), cells_of(design, parts)
    found = effects(contrasts(cells), scores)
    rows, response = [], []
    for name, cell in cells.items():
        signs = {part: 1 if level else -1 for part, level in cell.parts}
        for seed in SEEDS:
            terms = [math.prod(signs[part] for part in effect.contrast.parts) for effect in found]
            rows.append([*(float(seed == other) for other in SEEDS), *terms])
            response.append(scores[name][seed])
    coefficients, *_ = np.linalg.lstsq(np.array(rows), np.array(response), rcond=None)
    assert [effect.worth.miou for effect in found] == pytest.approx(2 * coefficients[len(SEEDS) :])
    by_parts = {effect.contrast.parts: effect for effect in found}
    for term, value in worth.items():
        effect = by_parts[tuple(f"p{part}" for part in term)]
        assert abs(effect.worth.miou - value) < 4 * 2 * 0.01 / math.sqrt(2**parts * len(SEEDS))
        assert effect.worth.told


@pytest.mark.parametrize("design", [FullFactorial(), LeaveOneOut(), AddOneIn(), FractionalFactorial(most=4)])
def test_intervals_and_p_values_are_those_of_the_paired_t_test_within_seeds(design: Design) -> None:
    random = np.random.default_rng(0)
    scores = noisy(design, 3, SEEDS, random, {(0,): 0.02})
    found = effects(contrasts(cells_of(design, 3)), scores)
    p_values = []
    for effect in found:
        positive = {name: weight for name, weight in effect.contrast.weights.items() if weight > 0}
        high = [np.mean([scores[name][seed] for name in positive]) for seed in SEEDS]
        low = [np.mean([scores[name][seed] for name in effect.contrast.weights.keys() - positive]) for seed in SEEDS]
        tested = stats.ttest_rel(high, low)
        interval = tested.confidence_interval(0.95)
        assert effect.worth.miou == pytest.approx(np.mean(high) - np.mean(low))
        assert effect.worth.miou_ci == pytest.approx((interval.high - interval.low) / 2)
        assert effect.worth.seeds == len(SEEDS)
        p_values.append(tested.pvalue)
    assert [effect.worth.p for effect in found] == pytest.approx([by_holm(p_values, p) for p in p_values])


def by_holm(p_values: list[float], mine: float) -> float:
    """The largest level at which Holm's procedure, step by step, does not reject a hypothesis before it comes to it."""
    ordered = sorted(p_values)
    steps = [p * (len(ordered) - place) for place, p in enumerate(ordered) if p <= mine]
    return min(1.0, max(steps))


@pytest.mark.parametrize("design", [FullFactorial(), FractionalFactorial(most=4), LeaveOneOut()])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_of_a_hundred_intervals_ninety_five_hold_the_effect(design: Design, seeds: int) -> None:
    """8,000 studies: the share has a standard error of 0.24 points."""
    random, studies = np.random.default_rng(seeds), 8000
    levels = np.array([[1 if level else -1 for level in row] for row in design.rows(3)])
    names = [str(row) for row in design.rows(3)]
    worth = np.array([0.04, -0.01, 0.0])
    found = contrasts(cells_of(design, 3))
    weights = np.array([[contrast.weights.get(name, 0.0) for name in names] for contrast in found])
    truth = weights @ (levels @ worth / 2)
    held = np.zeros(len(found))
    for _ in range(studies):
        values = levels @ worth / 2 + random.normal(0, 0.05, (seeds, 1)) + random.normal(0, 0.02, (seeds, len(names)))
        scores = {name: dict(enumerate(column.tolist())) for name, column in zip(names, values.T, strict=True)}
        intervals = effects(found, scores)
        held += [abs(each.worth.miou - true) <= each.worth.miou_ci for each, true in zip(intervals, truth, strict=True)]
    assert np.abs(held / studies - 0.95).max() < 0.01


def the_ablation(table: Table) -> Ablation:
    (found,) = ablations(table)
    return found


@pytest.mark.parametrize("design", [FullFactorial(), FractionalFactorial(most=4), LeaveOneOut(), AddOneIn()])
def test_a_tables_effects_are_those_of_its_rows_scores(design: Design) -> None:
    header, _, _, table = ablated(design)
    found = the_ablation(table)
    assert (found.name, found.design, found.parts) == ("ours", design.name, ("flips", "adversary", "entropy"))
    assert set(found.rows) == {arm.name for arm in header.arms} - {"source only"}
    for effect in found.effects:
        expected = sum(weight * row(table, name).scores.miou for name, weight in effect.contrast.weights.items())
        assert effect.worth.miou == pytest.approx(expected)
        assert effect.worth.seeds == header.seeds
    assert found.resolution == (3 if design == FractionalFactorial(most=4) else None)
    assert [abs(each.worth.miou) for each in found.in_order] == sorted(
        (abs(each.worth.miou) for each in found.effects), reverse=True
    )


def test_a_seed_counts_where_all_rows_of_the_contrast_have_it() -> None:
    header, asks, records, _ = ablated(LeaveOneOut())
    lost = next(ask for ask in asks if (ask.arm, ask.phase, ask.number) == ("ours without flips", "confirm", 1))
    records[lost.trial.id] = invented_study.failed(lost)
    table = tabulate(header, asks, records)
    found = {effect.contrast.name: effect for effect in the_ablation(table).effects}
    assert {name: effect.worth.seeds for name, effect in found.items()} == {"flips": 2, "adversary": 3, "entropy": 3}
    scores = {
        arm: {
            run.ask.trial.seed: metrics.cityscapes(run.confusion, header.groups).miou
            for run in table.runs[arm].confirm
            if run.confusion
        }
        for arm in ("ours", "ours without flips")
    }
    kept = [scores["ours"][seed] - scores["ours without flips"][seed] for seed in (1, 3)]
    assert found["flips"].worth.miou == pytest.approx(np.mean(kept))


def test_a_study_that_has_not_run_has_effects_that_are_not_known() -> None:
    header, *_ = ablated(FullFactorial())
    found = the_ablation(tabulate(header, [], {}))
    assert all(
        math.isnan(effect.worth.miou) and math.isnan(effect.worth.p) and effect.worth.seeds == 0
        for effect in found.effects
    )
    assert not any(effect.worth.told for effect in found.effects)


def changed(arm: ArmHeader, **changes: object) -> ArmHeader:
    return dataclasses.replace(arm, **changes)  # type: ignore[arg-type]


def test_records_of_rows_that_make_no_design_give_no_effects() -> None:
    header, asks, records, _ = ablated(FullFactorial())
    for arms in (
        header.arms[:-1],
        tuple(changed(arm, parts={}) for arm in header.arms),
        tuple(changed(arm, ablation="") for arm in header.arms),
        tuple(changed(arm, parts=arm.parts | {str(number): True for number in range(60)}) for arm in header.arms),
        tuple(changed(arm, centre="nobody" if arm.ablation else "") for arm in header.arms),
    ):
        table = tabulate(dataclasses.replace(header, arms=arms), asks, records)
        assert ablations(table) == ()


@pytest.mark.parametrize(
    ("searched", "tuned_as", "retuned"),
    [
        ({}, "", None),
        ({"learning_rate": "Uniform(0, 1)"}, "", True),
        ({"learning_rate": "Uniform(0, 1)"}, "ours", False),
    ],
)
def test_an_ablation_says_at_which_values_its_rows_run(
    searched: dict[str, str], tuned_as: str, retuned: bool | None
) -> None:
    header, asks, records, _ = ablated(LeaveOneOut())
    arms = tuple(
        changed(arm, searched=searched, tuned_as="" if arm.name == "ours" else tuned_as) if arm.ablation else arm
        for arm in header.arms
    )
    table = tabulate(dataclasses.replace(header, arms=arms), asks, records)
    assert the_ablation(table).retuned is retuned
