"""Cells of designs by hand, and what a contrast makes of scores."""

from collections.abc import Mapping

from platform.design.ablation.cell import Cell
from platform.design.ablation.contrasts import Contrast
from platform.design.ablation.designs import Design


def cells_of(design: Design, parts: int) -> dict[str, Cell]:
    """The cells of a design for parts p0, p1, ..., each row named by its levels."""
    levels = design.centre(parts)
    centre = "" if levels is None else str(levels)
    return {
        str(row): Cell(
            ablation="a",
            design=design.name,
            parts=tuple((f"p{number}", level) for number, level in enumerate(row)),
            centre="" if str(row) == centre else centre,
        )
        for row in design.rows(parts)
    }


def value(contrast: Contrast, scores: Mapping[str, float]) -> float:
    """A contrast of rows' scores."""
    return sum(weight * scores[row] for row, weight in contrast.weights.items())
