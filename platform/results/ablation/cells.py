"""The rows of a study's ablations, as its header has them."""

from collections.abc import Sequence

from platform.design.ablation.cell import Cell, by_ablation
from platform.records.record import ArmHeader


def cells_by_ablation(arms: Sequence[ArmHeader]) -> dict[str, dict[str, Cell]]:
    """Each ablation's rows and their places in it, in the order of the rows."""
    return by_ablation((arm.name, _cell(arm)) for arm in arms)


def _cell(arm: ArmHeader) -> Cell | None:
    parts = tuple(arm.parts.items())
    return Cell(ablation=arm.ablation, design=arm.design, parts=parts, centre=arm.centre) if arm.ablation else None
