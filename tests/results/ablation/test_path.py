"""The ablation path against every order of the parts, and on a made-up response whose order is known."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from platform.design.ablation.cell import Cell
from platform.results.ablation.path import path
from platform.study import FractionalFactorial, FullFactorial, LeaveOneOut
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
    assert [step.part for step in path(cells, scores)] == ["p0", "p1", "p2"]


@pytest.mark.parametrize("seed", range(5))
def test_each_step_is_the_best_of_all_that_there_are(seed: int) -> None:
    cells, scores = made(4, seed, 0.03)
    rows = {tuple(part for part, has in cell.parts if has): row for row, cell in cells.items()}
    mean = {parts: float(np.mean([*scores[row].values()])) for parts, row in rows.items()}
    have: tuple[str, ...] = ()
    steps = path(cells, scores)
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
    steps = path(cells, scores)
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
    assert sum(step.worth.miou for step in path(cells, scores)) == pytest.approx(gain)


@pytest.mark.parametrize("design", [LeaveOneOut(), FractionalFactorial(most=4)])
def test_other_designs_have_no_path(design: LeaveOneOut | FractionalFactorial) -> None:
    cells = cells_of(design, 3)
    assert path(cells, {row: {1: 0.1, 2: 0.2} for row in cells}) == ()


def test_a_row_without_seeds_leaves_no_path() -> None:
    cells, scores = made(3, 1, 0.01)
    for row, cell in cells.items():
        if sum(dict(cell.parts).values()) == 1:
            assert path(cells, {**scores, row: {}}) == ()
    assert path(cells, scores) != ()
