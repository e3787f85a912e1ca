"""The ablation path against every order of the parts, and on a made-up response whose order is known."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from platform.design.ablation.cell import Cell
from platform.design.ablation.designs import beside_one_way
from platform.results.ablation.path import followed, path
from platform.study import AblationPath, FractionalFactorial, FullFactorial, LeaveOneOut
from tests.support.designs import cells_of


def made(parts: int, seed: int, noise: float) -> tuple[dict[str, Cell], dict[str, dict[int, float]]]:
    """Rows of a full factorial and what they score: p0 is worth 0.08, p1 0.05, and p2 0.06, but nothing beside p0."""
    random = np.random.default_rng(seed)
    cells = cells_of(FullFactorial(), parts)
    scores = {}
    for row, cell in cells.items():
        has = dict(cell.parts)
        worth = 0.08 * has["p0"] + 0.05 * has["p1"] + 0.06 * (has["p2"] and not has["p0"])
        scores[row] = {seed: 0.2 + worth + float(random.normal(0, noise)) for seed in (1, 2, 3, 4, 5)}
    return cells, scores


def test_the_order_is_the_known_one_though_effects_have_another() -> None:
    cells, scores = made(3, 1, 0.003)
    assert [step.part for step in path(cells, scores, scores, (), 1)] == ["p0", "p1", "p2"]


@pytest.mark.parametrize("seed", range(5))
def test_each_step_is_the_best_of_all_that_there_are(seed: int) -> None:
    cells, scores = made(4, seed, 0.03)
    rows = {tuple(part for part, has in cell.parts if has): row for row, cell in cells.items()}
    mean = {parts: float(np.mean([*scores[row].values()])) for parts, row in rows.items()}
    have: tuple[str, ...] = ()
    steps = path(cells, scores, scores, (), 1)
    assert len(steps) == 4
    for step in steps:
        following = [tuple(sorted({*have, part})) for part in ("p0", "p1", "p2", "p3") if part not in have]
        best = max(following, key=lambda parts: mean[parts])
        assert step.row == rows[best]
        assert {step.part} == {*best} - {*have}
        assert step.worth.miou == pytest.approx(mean[best] - mean[have])
        have = best


def test_p_values_are_adjusted_for_every_part_that_was_tried() -> None:
    cells, scores = made(3, 2, 0.02)
    steps = path(cells, scores, scores, (), 1)
    rows = {frozenset(part for part, has in cell.parts if has): row for row, cell in cells.items()}
    have: frozenset[str] = frozenset()
    p_values, picked = list[float](), list[int]()
    for step in steps:
        for part in sorted({"p0", "p1", "p2"} - have):
            one, other = ([*scores[rows[parts]].values()] for parts in (have | {part}, have))
            picked += [len(p_values)] if part == step.part else []
            p_values.append(stats.ttest_rel(one, other).pvalue)
        have |= {step.part}
    assert len(p_values) == 6
    adjusted = multipletests(p_values, method="holm")[1]
    assert [step.worth.p for step in steps] == pytest.approx(adjusted[picked])


def test_the_steps_add_up_to_the_whole() -> None:
    cells, scores = made(4, 3, 0.02)
    number = {sum(dict(cell.parts).values()): row for row, cell in cells.items()}
    gain = np.mean([*scores[number[4]].values()]) - np.mean([*scores[number[0]].values()])
    assert sum(step.worth.miou for step in path(cells, scores, scores, (), 1)) == pytest.approx(gain)


@pytest.mark.parametrize("design", [LeaveOneOut(), FractionalFactorial(most=4)])
def test_other_designs_have_no_path(design: LeaveOneOut | FractionalFactorial) -> None:
    cells = cells_of(design, 3)
    scores = {row: {1: 0.1, 2: 0.2} for row in cells}
    assert path(cells, scores, scores, (), 1) == ()


def row_of(cells: dict[str, Cell], *parts: str) -> str:
    return next(row for row, cell in cells.items() if {part for part, has in cell.parts if has} == {*parts})


def test_a_row_without_seeds_ends_the_path_before_the_step_that_wants_it() -> None:
    cells, scores = made(3, 1, 0.003)
    first = scores | {row_of(cells, "p2"): {}}
    assert path(cells, first, first, (), 1) == ()
    second = scores | {row_of(cells, "p0", "p2"): {}}
    assert [step.part for step in path(cells, second, second, (), 1)] == ["p0"]


def test_a_row_that_failed_is_not_waited_for() -> None:
    cells, scores = made(3, 1, 0.003)
    row = row_of(cells, "p0")
    without = scores | {row: {}}
    steps = path(cells, without, without, (row,), 1)
    assert [step.part for step in steps] == ["p2", "p1", "p0"], "p0 was worth most, and none of its runs is there"


def test_the_first_seeds_decide_and_all_of_them_judge() -> None:
    cells, scores = made(3, 1, 0.003)
    row = row_of(cells, "p0")
    more = scores | {row: scores[row] | {6: 0.0}, row_of(cells): scores[row_of(cells)] | {6: 0.9}}
    steps = path(cells, more, scores, (), 1)
    assert [step.part for step in steps] == ["p0", "p1", "p2"]
    assert steps[0].worth.seeds == 6
    assert steps[0].worth.miou < 0


def test_a_path_has_the_rows_that_it_came_to_alone() -> None:
    """As a study has them that trains no others; its order is that of all combinations."""
    cells, scores = made(4, 2, 0.003)
    way = {name: dataclasses.replace(cell, design=AblationPath.name) for name, cell in cells.items()}
    tried = {row for step in followed(way, scores) for row in (step.before, *step.rows.values())}
    assert len(tried) == 11
    few = {row: cell for row, cell in way.items() if row in tried}
    steps = path(few, scores, scores, (), 1)
    assert [step.part for step in steps] == [step.part for step in path(cells, scores, scores, (), 1)]
    assert len(steps) == 4


@pytest.mark.parametrize("parts", range(1, 7))
def test_a_plan_counts_the_rows_of_one_way_and_every_way_has_as_many(parts: int) -> None:
    cells = cells_of(AblationPath(), parts)
    rows = 1 + parts * (parts + 1) // 2
    assert len(cells) == 2**parts
    assert len(cells) - len(beside_one_way(cells)) == rows
    random = np.random.default_rng(parts)
    scores = {row: {1: float(random.uniform())} for row in cells}
    assert len({row for step in followed(cells, scores) for row in (step.before, *step.rows.values())}) == rows
    in_order = {row: {1: -float(cells_in_order(cell))} for row, cell in cells.items()}
    one_way = {row for step in followed(cells, in_order) for row in (step.before, *step.rows.values())}
    assert one_way == cells.keys() - beside_one_way(cells)


def cells_in_order(cell: Cell) -> int:
    """Least where those parts are there that come first."""
    return sum(2**number for number, (_, has) in enumerate(cell.parts) if has)


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="AblationPath takes at most 6 parts, got 7, of 128 combinations; join parts"):
        AblationPath().rows(7)
