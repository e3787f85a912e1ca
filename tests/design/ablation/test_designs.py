"""Every design keeps what an ablation promises; a new one joins by its line in DESIGNS."""

import itertools
import re

import numpy as np
import pytest

from platform.design.ablation.cell import Cell
from platform.design.ablation.contrasts import contrasts
from platform.design.ablation.designs import Design
from platform.study import AddOneIn, FractionalFactorial, FullFactorial, LeaveOneOut
from tests.support.designs import cells_of, value

DESIGNS: list[Design] = [
    LeaveOneOut(),
    AddOneIn(),
    FullFactorial(),
    FractionalFactorial(most=8),
    FractionalFactorial(most=16),
]
NUMBERS = range(1, 8)


def rows_of(design: Design, parts: int) -> list[tuple[bool, ...]]:
    try:
        return [*design.rows(parts)]
    except ValueError:
        pytest.skip(f"{design} has no rows for {parts} parts")


def cells(design: Design, parts: int) -> dict[str, Cell]:
    rows_of(design, parts)
    return cells_of(design, parts)


every_design = pytest.mark.parametrize("design", DESIGNS, ids=repr)


@every_design
@pytest.mark.parametrize("parts", NUMBERS)
def test_rows_differ_and_the_one_with_all_parts_is_among_them(design: Design, parts: int) -> None:
    rows = rows_of(design, parts)
    assert len(set(rows)) == len(rows)
    assert {len(row) for row in rows} == {parts}
    assert (True,) * parts in rows
    assert design.centre(parts) in {None, *rows}
    assert design.name == design.name.lower()


@every_design
@pytest.mark.parametrize("parts", NUMBERS)
def test_every_part_has_an_effect_and_no_score_that_all_share_counts(design: Design, parts: int) -> None:
    found = contrasts(cells(design, parts))
    assert {(f"p{number}",) for number in range(parts)} <= {contrast.parts for contrast in found}
    for contrast in found:
        assert sum(contrast.weights.values()) == pytest.approx(0, abs=1e-12)


@every_design
@pytest.mark.parametrize("parts", NUMBERS)
def test_of_a_score_that_is_a_sum_over_parts_each_effect_is_its_parts_own(design: Design, parts: int) -> None:
    worth = np.random.default_rng(parts).normal(size=parts)
    score = {str(row): float(worth @ row) for row in rows_of(design, parts)}
    for contrast in contrasts(cells(design, parts)):
        expected = sum(worth[int(part[1:])] for part in contrast.parts)
        if design.centre(parts) is None and len(contrast.parts) == 2:
            expected = 0.0
        assert value(contrast, score) == pytest.approx(expected)


def test_leaving_one_out_and_adding_one_in_have_the_rows_of_their_names() -> None:
    assert LeaveOneOut().rows(3) == [(1, 1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    assert AddOneIn().rows(3) == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]
    assert AddOneIn().rows(1) == [(0,), (1,)]


@pytest.mark.parametrize("parts", range(1, 7))
def test_a_full_factorial_has_every_combination_once_with_the_fewest_taken_away_first(parts: int) -> None:
    rows = FullFactorial().rows(parts)
    assert set(rows) == set(itertools.product((True, False), repeat=parts))
    missing = [row.count(False) for row in rows]
    assert missing == sorted(missing)


@pytest.mark.parametrize(
    ("design", "parts", "said"),
    [
        (
            FullFactorial(),
            7,
            "FullFactorial takes at most 6 parts, got 7, of 128 combinations; take FractionalFactorial",
        ),
        (FractionalFactorial(most=8), 3, "has room for all 8 combinations of 3 parts; take FullFactorial()"),
        (FractionalFactorial(most=8), 8, "tell at most 7 parts apart, got 8; take most=16"),
        (FractionalFactorial(most=15), 10, "tell at most 7 parts apart, got 10; take most=16"),
        (FractionalFactorial(most=16), 11, "takes at most 10 parts, got 11; join some"),
    ],
)
def test_too_many_rows_or_too_few_are_refused(design: Design, parts: int, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        design.rows(parts)


@pytest.mark.parametrize("most", [3, 0, 8.0, True])
def test_a_fraction_has_a_whole_number_of_rows(most: int) -> None:
    with pytest.raises(ValueError, match="must be a whole number of at least 4"):
        FractionalFactorial(most=most)
