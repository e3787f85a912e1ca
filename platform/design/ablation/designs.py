"""Designs: which combinations of parts an ablation trains."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from platform.design.ablation import fractional
from platform.design.ablation.cell import Cell
from platform.design.ranges import check_whole

Levels = tuple[bool, ...]
"""Of each part, whether a row has it."""
MOST_ROWS = 64
"""Combinations of parts."""


@dataclass(frozen=True, kw_only=True)
class Design(ABC):
    """What an ablation compares: the rows, and what each is held against."""

    name: ClassVar[str]
    """In words, as tables say it."""

    @abstractmethod
    def rows(self, parts: int) -> Sequence[Levels]:
        """The rows for so many parts, in the order of the table, the one with all of them among them.

        Raises ValueError where there are too many or too few.
        """

    def centre(self, parts: int) -> Levels | None:
        """The row that every other is held against; None where effects are taken over all rows together."""
        return None


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut(Design):
    """The row with all parts, and rows that lack one each: what is lost without it, k + 1 rows."""

    name = "leave one out"

    def rows(self, parts: int) -> Sequence[Levels]:
        return [(True,) * parts, *(tuple(each != out for each in range(parts)) for out in range(parts))]

    def centre(self, parts: int) -> Levels | None:
        return (True,) * parts


@dataclass(frozen=True, kw_only=True)
class AddOneIn(Design):
    """The row with no part, rows that have one each, and the row with all: what each gives alone, k + 2 rows."""

    name = "add one in"

    def rows(self, parts: int) -> Sequence[Levels]:
        alone = [tuple(each == only for each in range(parts)) for only in range(parts)]
        return [*dict.fromkeys([(False,) * parts, *alone, (True,) * parts])]

    def centre(self, parts: int) -> Levels | None:
        return (False,) * parts


@dataclass(frozen=True, kw_only=True)
class FullFactorial(Design):
    """Every combination of parts, 2^k rows: main effects and interactions, none taken for another."""

    name = "full factorial"

    def rows(self, parts: int) -> Sequence[Levels]:
        return _combinations(parts, "FullFactorial", "take FractionalFactorial(most=16), or join parts")


@dataclass(frozen=True, kw_only=True)
class AblationPath(Design):
    """A path from the row with no part to the row with all, each step putting in the part that helps most.

    1 + k (k + 1) / 2 of the 2^k combinations are trained: at each step those with one more part of what is left, and
    the one with the highest mean mIoU on the test split is gone on from (Fawcett and Hoos, Journal of Heuristics 2016,
    who race configurations of a solver on training instances).
    """

    name = "path"

    def rows(self, parts: int) -> Sequence[Levels]:
        return _combinations(parts, "AblationPath", "join parts")


@dataclass(frozen=True, kw_only=True)
class FractionalFactorial(Design):
    """A regular half, quarter, ... of the combinations, 2^(k - p) rows: each effect together with its aliases.

    Generators are those of the highest resolution and, of these, the least aberration (Fries and Hunter, Technometrics
    1980); all have a positive sign, so that the row with all parts is among the rows.
    """

    name = "fractional factorial"
    most: int
    """Rows that there may be: the largest power of two up to it is taken."""

    def __post_init__(self) -> None:
        check_whole(self, "most", least=4)

    def rows(self, parts: int) -> Sequence[Levels]:
        return by_what_is_taken_away(fractional.fraction(parts, self.most))


def of_every_row(cell: Cell) -> Cell:
    """The place of a path's row among all combinations, each of which is trained; any other as it is."""
    return replace(cell, design=FullFactorial.name) if cell.design == AblationPath.name else cell


def beside_one_way(cells: Mapping[str, Cell]) -> set[str]:
    """The rows of paths that none of their steps tries, if each puts in the first part that is left.

    On every other way there are as many.
    """
    beside = set[str]()
    for row, cell in cells.items():
        has = [present for _, present in cell.parts]
        # What is there before the step are the first parts; it tries one more.
        taken = has.index(False) if False in has else len(has)
        if cell.design == AblationPath.name and sum(has[taken:]) > 1:
            beside.add(row)
    return beside


def _combinations(parts: int, design: str, remedy: str) -> list[Levels]:
    if 2**parts > MOST_ROWS:
        most = MOST_ROWS.bit_length() - 1
        raise ValueError(f"{design} takes at most {most} parts, got {parts}, of {2**parts} combinations; {remedy}")
    return by_what_is_taken_away(itertools.product((True, False), repeat=parts))


def by_what_is_taken_away(rows: Iterable[Levels]) -> list[Levels]:
    """Rows in order: all parts first, then those that lack one, two, ..."""
    return sorted(rows, key=lambda levels: (levels.count(False), [not level for level in levels][::-1]))
