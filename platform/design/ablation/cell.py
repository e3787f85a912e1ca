"""A row's place in an ablation, as the arm carries it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Which parts a row has of those that an ablation takes away and puts in."""

    ablation: str
    """Its name, which the row with all parts has as well."""
    design: str
    """In words: `leave one out`."""
    parts: tuple[tuple[str, bool], ...]
    """Each part's name, and whether the row has it."""
    centre: str = ""
    """The row that it is compared with; empty where effects are taken over all rows of the design together."""


def by_ablation(places: Iterable[tuple[str, Cell | None]]) -> dict[str, dict[str, Cell]]:
    """Each ablation's rows and their places in it, in their order, of all rows of a study."""
    found: dict[str, dict[str, Cell]] = {}
    for row, cell in places:
        if cell is not None:
            found.setdefault(cell.ablation, {})[row] = cell
    return found
