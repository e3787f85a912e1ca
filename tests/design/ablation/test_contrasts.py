"""Contrasts of factorials against products of columns and least squares."""

import itertools

import numpy as np
import pytest

from platform.design.ablation.cell import Cell
from platform.design.ablation.contrasts import contrasts
from platform.study import AddOneIn, FractionalFactorial, FullFactorial, LeaveOneOut
from tests.support.designs import cells_of, value

FRACTIONS = [(3, 4), (4, 8), (5, 8), (5, 16), (6, 8), (6, 16), (7, 8), (7, 16), (8, 16), (8, 32)]


def signs(cells: dict[str, Cell]) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The columns of effects and interactions of two, by multiplying levels one by one."""
    rows = [{part: 1 if level else -1 for part, level in cell.parts} for cell in cells.values()]
    names = list(rows[0])
    terms = [*((name,) for name in names), *itertools.combinations(names, 2)]
    columns = {}
    for term in terms:
        column = [1] * len(rows)
        for part in term:
            column = [sign * row[part] for sign, row in zip(column, rows, strict=True)]
        columns[term] = tuple(column)
    return columns


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5])
def test_effects_of_a_full_factorial_are_twice_the_coefficients_of_least_squares(parts: int) -> None:
    cells = cells_of(FullFactorial(), parts)
    columns = signs(cells)
    scores = np.random.default_rng(parts).normal(size=len(cells))
    design = np.column_stack([np.ones(len(cells)), *columns.values()])
    coefficients, *_ = np.linalg.lstsq(design, scores, rcond=None)
    found = contrasts(cells)
    assert [contrast.parts for contrast in found] == list(columns)
    assert all(not contrast.aliases for contrast in found)
    by_row = dict(zip(cells, scores.tolist(), strict=True))
    assert [value(contrast, by_row) for contrast in found] == pytest.approx(2 * coefficients[1:])


@pytest.mark.parametrize(("parts", "runs"), FRACTIONS)
def test_aliases_of_a_fraction_are_the_columns_that_equal_its_own(parts: int, runs: int) -> None:
    cells = cells_of(FractionalFactorial(most=runs), parts)
    columns = signs(cells)
    found = contrasts(cells)
    named = []
    for contrast in found:
        own = columns[contrast.parts]
        opposite = tuple(-sign for sign in own)
        same = [term for term, column in columns.items() if term != contrast.parts and column in (own, opposite)]
        assert list(contrast.aliases) == [f"{'+' if columns[term] == own else '-'} {' x '.join(term)}" for term in same]
        named += [contrast.parts, *same]
    assert sorted(named) == sorted(columns), "each effect and each interaction of two stands once"


@pytest.mark.parametrize(("parts", "runs"), FRACTIONS)
def test_an_effect_of_a_fraction_is_the_sum_of_its_aliases_effects(parts: int, runs: int) -> None:
    """By scores whose coefficients are known: those of effects and interactions of two."""
    cells = cells_of(FractionalFactorial(most=runs), parts)
    columns, random = signs(cells), np.random.default_rng(runs)
    worth = {term: float(random.normal()) for term in columns}
    scores = {
        row: sum(worth[term] / 2 * column[place] for term, column in columns.items()) for place, row in enumerate(cells)
    }
    for contrast in contrasts(cells):
        own = columns[contrast.parts]
        expected = sum(
            worth[term] * (1 if column == own else -1)
            for term, column in columns.items()
            if column in (own, tuple(-sign for sign in own))
        )
        assert value(contrast, scores) == pytest.approx(expected)


def test_an_effect_may_be_aliased_with_the_opposite_of_an_interaction() -> None:
    """By rows of the other half of a 2^(3 - 1), which no design of ours takes, and a study file may."""
    rows = [row for row in itertools.product((True, False), repeat=3) if sum(row) % 2 == 0]
    cells = {str(row): Cell(ablation="a", design="by hand", parts=tuple(zip("abc", row, strict=True))) for row in rows}
    assert {contrast.name: contrast.aliases for contrast in contrasts(cells)} == {
        "a": ("- b x c",),
        "b": ("- a x c",),
        "c": ("- a x b",),
    }


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_what_is_left_out_or_added_is_worth_what_a_row_has_with_it_more_than_without(parts: int) -> None:
    random = np.random.default_rng(parts)
    for design in (LeaveOneOut(), AddOneIn()):
        cells = cells_of(design, parts)
        scores = {row: float(random.normal()) for row in cells}
        for contrast in contrasts(cells):
            more, less = sorted(contrast.weights, key=lambda row: -contrast.weights[row])
            have = {part for part, level in cells[more].parts if level}
            lack = {part for part, level in cells[less].parts if level}
            assert have - lack == {*contrast.parts}
            assert lack <= have
            assert value(contrast, scores) == pytest.approx(scores[more] - scores[less])


@pytest.mark.parametrize("lost", range(4))
def test_no_effects_are_made_up_of_a_factorial_that_lacks_a_row(lost: int) -> None:
    cells = cells_of(FullFactorial(), 2)
    del cells[[*cells][lost]]
    assert contrasts(cells) == ()


def test_rows_that_know_of_different_parts_have_no_contrast() -> None:
    cells = cells_of(FullFactorial(), 2) | {"another": Cell(ablation="a", design="", parts=(("p0", True),))}
    assert contrasts(cells) == ()
