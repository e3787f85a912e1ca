"""What rows have over each other, in words: which differences are told from chance, and what the seeds could show."""

import math
from collections.abc import Callable, Sequence

from platform.records.plain import listed
from platform.results.comparison import Difference
from platform.results.lines import NONE, p_value
from platform.results.report.wording import level, number, plus_minus
from platform.results.statistics.intervals import LEAST_BOOTSTRAPPED
from platform.results.statistics.power import seeds_for
from platform.results.statistics.significance import LEVEL, MOST_EXACT, least_sign_flip
from platform.results.table import Row, Table

WISHES = (0.05, 0.02, 0.01)
"""Differences in mIoU whose price in seeds is named."""
OF_CLASSES = (
    "Paired by seed, with 95 % Student-t intervals; bold where told from chance, adjusted by Holm's method for all "
    "classes of all rows, and as large as these seeds can find in the class."
)
HEAD = ("p", "Δ to best", "rank", "runs above", "gap closed")
"""Columns that tables of every width have."""
HEAD_WIDE = (*HEAD, "p to best", "IQM", "sign-flip p", "bootstrap")


def starred(text: str) -> str:
    """A text with the mark that a terminal can show."""
    return f"{text} *"


def cells(row: Row, table: Table, emphasise: Callable[[str], str] = starred) -> tuple[str, ...]:
    """The texts of `HEAD`, differences that are told from chance emphasised."""
    found = row.comparison
    is_reference = row.arm == table.header.reference
    return (
        "reference" if is_reference else p_value(found.to_reference.p),
        _to_best(row, table, emphasise),
        rank(row),
        NONE if is_reference else number(found.improvement, ".0%"),
        _gap(row, table),
    )


def cells_wide(row: Row, table: Table, emphasise: Callable[[str], str] = starred) -> tuple[str, ...]:
    """The texts of `HEAD_WIDE`, differences that are told from chance emphasised."""
    found = row.comparison.to_reference
    bounds = found.bootstrap
    return (
        *cells(row, table, emphasise),
        NONE if row.arm == table.best else p_value(row.comparison.to_best.p),
        number(row.scores.interquartile_miou, ".3f"),
        p_value(found.sign_flip),
        NONE if math.isnan(bounds.low) else f"{bounds.low:+.3f} to {bounds.high:+.3f}",
    )


def rank(row: Row) -> str:
    """`2`, `2 to 5`."""
    best, worst = row.comparison.ranks.best, row.comparison.ranks.worst
    if math.isnan(best):
        return NONE
    return f"{best:.0f}" if best == worst else f"{best:.0f} to {worst:.0f}"


def of_class(difference: Difference, emphasise: Callable[[str], str]) -> str:
    """A difference in the IoU of a class, emphasised where it is told from chance."""
    text = plus_minus(difference.miou, difference.miou_ci, "+")
    return emphasise(text) if difference.told else text


def _to_best(row: Row, table: Table, emphasise: Callable[[str], str]) -> str:
    if row.arm == table.best:
        return "best"
    found = row.comparison.to_best
    text = plus_minus(found.miou, found.miou_ci, "+")
    return emphasise(text) if found.told else text


def _gap(row: Row, table: Table) -> str:
    if table.bounds and row.arm in table.bounds:
        return NONE if not row.scores.seeds else "0%" if row.arm == table.bounds[0] else "100%"
    share = row.comparison.gap
    if math.isnan(share.bounds.low):
        return number(share.value, ".0%")
    return f"{share.value:.0%} ({100 * share.bounds.low:.0f} to {100 * share.bounds.high:.0f})"


def can_show(table: Table) -> str:
    """What the table's seeds could show, and what would show more."""
    able = table.detectable
    if able.seeds < 2:
        return "One seed shows no difference: nothing is told from chance."
    if math.isnan(able.difference):
        return "No two seeds are there yet by which a difference could be told from chance."
    wished = wishes(able.deviation, able.tests)
    return (
        f"What {able.seeds} seeds can show{_of_which_rows(table)}: a true difference of {able.difference:.3f} has a p "
        f"of at most {LEVEL:g} four times out of five, of {able.comparisons} compared, with a standard deviation "
        f"between seeds of {able.deviation:.3f}; it is marked less than half of the time, since a mark asks for as "
        "large a difference to be seen. Nothing below that is marked, whatever its p: it would be missed more often "
        "than one time in five, and what luck finds is exaggerated."
        + (f" {wished[0].upper()}{wished[1:]}." if wished else "")
    )


def _of_which_rows(table: Table) -> str:
    return ", of rows that have them all" if table.detectable.looks > 1 else ""


def of_the_race(table: Table) -> str:
    """How a race decided who has more seeds, and what that costs; empty without one."""
    looks = table.header.looks
    if len(looks) < 2:
        return ""
    return (
        f"Race: every row has {looks[0]} seeds; of the rows of equal budget, those whose rank that leaves open have "
        f"more, {listed([str(look) for look in looks[1:]])} at most. The rows are looked at {len(looks)} times at "
        f"most, and each look has its share of the {LEVEL:g}, in p, marks and intervals: an interval holds "
        f"{level(len(looks))} at each look, and so 95 % over all. Differences are over the seeds that both "
        "rows have; means over other seeds are not comparable."
    )


def wishes(deviation: float, tests: int, wished: Sequence[float] = WISHES) -> str:
    """How many seeds other differences take; empty where there is no spread to say it by."""
    if not deviation:
        return ""
    needed = {wish: seeds_for(wish, deviation, tests) for wish in wished}
    return listed([f"{wish:g} takes {seeds or 'more than 1,000'}" for wish, seeds in needed.items()]) + " seeds"


def reading(table: Table) -> list[str]:
    """How to read the columns, one sentence or two each."""
    reference = table.header.reference
    ranked = sum(not math.isnan(row.comparison.ranks.best) for row in table.rows)
    able = table.detectable
    lines = [
        of_the_race(table),
        f"p: of the paired t-test of the difference to {reference}, adjusted by Holm's method for {able.comparisons} "
        f"row{'s' * (able.comparisons != 1)}: where no row differs, one or more are at most {LEVEL:g} with a chance of "
        f"{LEVEL:.0%}.",
        can_show(table),
        f"Δ to best and rank: among the {ranked} rows of equal budget, in search trials and steps, that know no target "
        "labels. A rank is the range that the seeds leave it: 95 % for all ranks at once, by Holm's method over all "
        "pairs, and the size that seeds can find among them, as for the marks at differences to the best, and their p.",
        f"Runs above: of all pairs of a run and a run of {reference}, those in which the run scores higher. IQM: mean "
        "of the middle half of the runs. Both as in rliable, without its bootstrap intervals, which cover too little "
        "for few seeds.",
        _of_the_gap(table),
        _of_flips(table),
        _of_bootstrap(table),
    ]
    return [line for line in lines if line]


def _of_the_gap(table: Table) -> str:
    if table.bounds is None:
        return ""
    lower, upper = table.bounds
    return (
        f"Gap closed: mean gain over {lower} by the mean gap from it to {upper}, paired by seed, with the 95 % "
        "interval of Fieller's theorem."
    )


def _of_flips(table: Table) -> str:
    able = table.detectable
    needed = next((seeds for seeds in range(2, MOST_EXACT) if able.tests * least_sign_flip(seeds) <= LEVEL), None)
    if needed is None:
        return ""
    if able.seeds >= needed:
        return (
            "Sign-flip p: of the test that takes no normal distribution for granted, adjusted likewise; exact up to "
            f"{MOST_EXACT} seeds."
        )
    return (
        f"The sign-flip test, which takes no normal distribution for granted, could tell nothing here: with "
        f"{able.comparisons} compared it takes {needed} seeds to reach {LEVEL:g} at all."
    )


def _of_bootstrap(table: Table) -> str:
    if table.detectable.looks > 1:
        return ""
    if table.detectable.seeds >= LEAST_BOOTSTRAPPED:
        return "Bootstrap: the 95 % BCa interval of the difference."
    return f"A bootstrap interval takes {LEAST_BOOTSTRAPPED} seeds: with fewer it covers less than it says."


def used(rows: Sequence[tuple[str, ...]]) -> list[int]:
    """The columns in which some row says something."""
    return [place for place, column in enumerate(zip(*rows, strict=True)) if {*column} != {NONE}]
