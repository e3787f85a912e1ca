"""What rows have over each other is said with its numbers, and no column stands empty."""

import dataclasses
import math

import pytest

from platform.results.lines import NONE, p_value
from platform.results.report import terminal
from platform.results.report.markdown import render
from platform.results.report.sections import differences
from platform.results.statistics.power import seeds_for, smallest_difference
from tests.support.invented_study import made, mishaps
from tests.support.tabulated import row

NAMES = ("source only", "FDA", "same", "target supervised")
QUALITIES = (0.3, 0.5, 0.3, 0.8)


def test_every_cell_says_what_was_computed() -> None:
    *_, table = made(*NAMES, qualities=QUALITIES, seeds=12)
    found = row(table, "FDA").comparison
    p, best, rank, above, gap, to_best, middle, flip, bootstrap = differences.cells_wide(row(table, "FDA"), table)
    assert p == "< 0.001"
    assert found.to_reference.p < 0.001
    assert (best, to_best, rank, above) == ("best", NONE, "1", "100%")
    assert gap == f"{found.gap.value:.0%} ({100 * found.gap.bounds.low:.0f} to {100 * found.gap.bounds.high:.0f})"
    assert middle == f"{row(table, 'FDA').scores.interquartile_miou:.3f}"
    assert flip == f"{3 / 2**11:.3f}"
    assert bootstrap == f"{found.to_reference.bootstrap.low:+.3f} to {found.to_reference.bootstrap.high:+.3f}"


def test_the_reference_the_bounds_and_what_is_told() -> None:
    *_, table = made(*NAMES, qualities=QUALITIES, seeds=5)
    assert differences.cells(row(table, "source only"), table)[0] == "reference"
    assert differences.cells(row(table, "source only"), table)[4] == "0%"
    assert differences.cells(row(table, "target supervised"), table)[1:3] == (NONE, NONE)
    assert differences.cells(row(table, "target supervised"), table)[4] == "100%"
    assert differences.cells(row(table, "same"), table)[1].endswith(" *"), "told from the best"
    assert differences.rank(row(table, "same")) == "2 to 3"


def test_few_seeds_have_no_columns_that_they_cannot_fill() -> None:
    *_, few = made(*NAMES, qualities=QUALITIES, seeds=3)
    *_, many = made(*NAMES, qualities=QUALITIES, seeds=10)
    head = "| arm | p | Δ to best | rank | runs above | gap closed | p to best | IQM |"
    assert f"{head} sign-flip p | bootstrap |\n" in render(many)
    assert f"{head}\n" in render(few)
    assert "it takes 7 seeds to reach 0.05 at all" in render(few)
    assert "A bootstrap interval takes 10 seeds" in render(few)
    assert "takes no normal distribution for granted, adjusted likewise; exact up to 16 seeds." in render(many)
    assert "Bootstrap: the 95 % BCa interval" in render(many)


def test_what_seeds_can_show_is_said_with_its_price() -> None:
    *_, table = made(*NAMES, qualities=QUALITIES, seeds=5)
    able = table.detectable
    said = differences.can_show(table)
    assert f"a true difference of {smallest_difference(able.deviation, 5, 3):.3f} has a p of at most 0.05 four" in said
    assert "of 3 compared" in said
    assert f"0.05 takes {seeds_for(0.05, able.deviation, 3)}, " in said
    assert differences.wishes(0.0, 3) == ""
    assert "0.01 takes more than 1,000 seeds" in differences.wishes(0.5, 3)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_study_that_tells_nothing_says_so(seeds: int) -> None:
    *_, table = made(*NAMES, seeds=seeds)
    if seeds == 1:
        assert differences.can_show(table) == "One seed shows no difference: nothing is told from chance."
    assert not any(each.comparison.to_reference.told for each in table.rows)
    assert "nan" not in render(table)


def test_failed_rows_are_compared_with_nothing() -> None:
    table = mishaps()[3]
    assert {*differences.cells(row(table, "FDA"), table)} == {NONE}
    assert math.isnan(row(table, "FDA").comparison.improvement)


def test_classes_have_differences_of_their_own() -> None:
    *_, table = made(*NAMES, qualities=QUALITIES, seeds=8)
    text = render(table).split("## Difference by class, to source only")[1]
    road = next(line for line in text.splitlines() if line.startswith("| road |")).strip("| ").split(" | ")
    fda = row(table, "FDA").comparison.classes[0]
    assert road[1] == f"**+{fda.miou:.3f} ± {fda.miou_ci:.3f}**"
    assert not road[2].startswith("**")


@pytest.mark.parametrize(
    ("p", "shown"),
    [(0.0, "< 0.001"), (0.00099, "< 0.001"), (0.001, "0.001"), (0.0314, "0.031"), (1.0, "1.000"), (math.nan, NONE)],
)
def test_p_values_have_three_digits(p: float, shown: str) -> None:
    assert p_value(p) == shown


def test_a_race_is_said_with_what_it_costs() -> None:
    *_, table = made(*NAMES, qualities=QUALITIES, seeds=3)
    assert differences.of_the_race(table) == ""
    runs = {name: dataclasses.replace(own, seeds=12 if name == "FDA" else 3) for name, own in table.runs.items()}
    header = dataclasses.replace(table.header, seeds=12, looks=(3, 6, 12))
    raced = dataclasses.replace(table, header=header, runs=runs)
    said = differences.of_the_race(raced)
    assert "every row has 3 seeds" in said
    assert "have more, 6 and 12 at most" in said
    assert "holds 98.3 % at each look, and so 95 % over all" in said
    assert said in differences.reading(raced)
    assert "Race: every row has 3 seeds" in terminal.render(raced)
    assert "half-width of the 98.3 % Student-t interval over 3 to 12 seeds" in render(raced)
