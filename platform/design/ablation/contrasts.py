"""Contrasts: which comparison of an ablation's rows tells of which parts, by the rows alone."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from platform.design.ablation.cell import Cell
from platform.design.ablation.designs import AblationPath

Signs = Int64[np.ndarray, " rows"]


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of rows' scores that is the effect of a part, or the interaction of two.

    The effect of a part is the mean of the rows with it less the mean of those without; the interaction of two is half
    of what the effect of the one is more where the other is (Box, Hunter, Hunter, "Statistics for Experimenters").
    """

    parts: tuple[str, ...]
    """One for an effect, two for an interaction; several for parts that a row has together."""
    weights: Mapping[str, float]
    """By row; rows that are left out do not count."""
    aliases: tuple[str, ...] = ()
    """What is added to it and cannot be told from it, of effects and interactions of two: `+ a x b`, `- c`."""

    @property
    def name(self) -> str:
        """`flips`; of an interaction `flips x adversary`, of two parts that one row has and the other not with a +."""
        return term(self.parts) if len(self.weights) > 2 else " + ".join(self.parts)


def term(parts: Sequence[str]) -> str:
    """An effect, or an interaction, by its parts."""
    return " x ".join(parts)


def contrasts(cells: Mapping[str, Cell]) -> tuple[Contrast, ...]:
    """The contrasts of one ablation's rows: differences where rows are held against one, else effects over all rows.

    Empty where rows are missing without which effects cannot be told apart, as those of a path are.
    """
    if any(cell.design == AblationPath.name for cell in cells.values()):
        return ()
    if len({tuple(part for part, _ in cell.parts) for cell in cells.values()}) != 1:
        return ()
    held = {row: cell for row, cell in cells.items() if cell.centre}
    if held:
        return tuple(_difference(row, cell, cells[cell.centre]) for row, cell in held.items() if cell.centre in cells)
    return _effects(cells)


def _difference(row: str, cell: Cell, centre: Cell) -> Contrast:
    """What a row's parts are worth, whether it has them and the centre has not, or the other way round."""
    have, has = dict(centre.parts), dict(cell.parts)
    parts = tuple(part for part in has if has[part] != have.get(part))
    sign = 1.0 if all(has[part] for part in parts) else -1.0
    return Contrast(parts, {row: sign, cell.centre: -sign})


def _effects(cells: Mapping[str, Cell]) -> tuple[Contrast, ...]:
    """Main effects, and interactions of two, each with its aliases."""
    names = [part for part, _ in next(iter(cells.values())).parts]
    if len(cells) < 2:
        return ()
    columns: dict[tuple[str, ...], Signs] = {
        (part,): np.array([1 if dict(cell.parts)[part] else -1 for cell in cells.values()], np.int64) for part in names
    }
    for one, other in itertools.combinations(names, 2):
        columns[one, other] = columns[one,] * columns[other,]
    groups: list[list[tuple[tuple[str, ...], int]]] = []
    for parts, column in columns.items():
        products = [int(columns[group[0][0]] @ column) for group in groups]
        if column.sum() or any(abs(product) not in (0, len(cells)) for product in products):
            return ()
        place = next((place for place, product in enumerate(products) if product), None)
        if place is None:
            groups.append([(parts, 1)])
        else:
            groups[place].append((parts, products[place] // len(cells)))
    return tuple(_effect(group, columns[group[0][0]], [*cells]) for group in groups)


def _effect(group: Sequence[tuple[tuple[str, ...], int]], column: Signs, rows: Sequence[str]) -> Contrast:
    (parts, _), *aliases = group
    weights = {row: 2 * int(sign) / len(rows) for row, sign in zip(rows, column, strict=True)}
    return Contrast(parts, weights, tuple(f"{'+' if sign > 0 else '-'} {term(alias)}" for alias, sign in aliases))
