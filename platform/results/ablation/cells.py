"""The rows of a study's ablations, as its header has them."""

from collections.abc import Sequence

from platform.design.ablation.cell import Cell
from platform.records.record import ArmHeader


def cells_by_ablation(arms: Sequence[ArmHeader]) -> dict[str, dict[str, Cell]]:
    """Each ablation's rows and their places in it, in the order of the rows."""
    found: dict[str, dict[str, Cell]] = {}
    for arm in arms:
        if arm.ablation:
            parts = tuple(arm.parts.items())
            cell = Cell(ablation=arm.ablation, design=arm.design, parts=parts, centre=arm.centre)
            found.setdefault(arm.ablation, {})[arm.name] = cell
    return found
