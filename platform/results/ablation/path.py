"""The ablation path: from the row without any part to the row with all, each step the part that helps most."""

from collections.abc import Mapping
from dataclasses import dataclass

from platform.design.ablation.cell import Cell
from platform.results.comparison import Difference, judged, paired
from platform.results.statistics.intervals import interval


@dataclass(frozen=True)
class Step:
    """A part that is put in, and what that gave."""

    part: str
    row: str
    """The row that has it, and those of the steps before."""
    worth: Difference
    """To the row before, in mIoU; judged among all parts that could have been put in, at this step and the others."""


def path(cells: Mapping[str, Cell], scores: Mapping[str, Mapping[int, float]]) -> tuple[Step, ...]:
    """The path through the rows of a full factorial, by their scores of each seed (Fawcett and Hoos, 2016).

    At each step all parts that are left are tried, by rows that were run, and the one with the highest mean difference
    over shared seeds is kept. Empty for other designs, and where a row that a step needs shares no seed.
    """
    by_parts = {frozenset(part for part, has in cell.parts if has): row for row, cell in cells.items()}
    every = frozenset(part for cell in cells.values() for part, _ in cell.parts)
    if len(by_parts) != 2 ** len(every) or any(cell.against for cell in cells.values()):
        return ()
    have: frozenset[str] = frozenset()
    taken: list[tuple[str, str]] = []
    tried: dict[tuple[str, str], list[float]] = {}
    while left := every - have:
        before = by_parts[have]
        gains = {part: paired(scores[by_parts[have | {part}]], scores[before]) for part in sorted(left)}
        if not all(gains.values()):
            return ()
        tried |= {(part, by_parts[have | {part}]): gain for part, gain in gains.items()}
        best = max(gains, key=lambda part: interval(gains[part])[0])
        have |= {best}
        taken.append((best, by_parts[have]))
    worth = judged(tried)
    return tuple(Step(part, row, worth[part, row]) for part, row in taken)
