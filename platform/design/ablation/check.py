"""Whether the ablations of a study can be evaluated: its rows are all there, and differ."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from platform.design.ablation.cell import Cell, by_ablation
from platform.design.ablation.contrasts import contrasts
from platform.design.ablation.designs import AblationPath
from platform.networks.hyperparameters import field_values

if TYPE_CHECKING:
    from platform.design.arm import Arm
    from platform.design.row import Row


def check_ablations(arms: Mapping[str, "Arm"]) -> None:
    """Raise ValueError where rows of an ablation are missing without which no effect can be told."""
    for ablation, cells in by_ablation((name, arm.cell) for name, arm in arms.items()).items():
        if not _is_whole(cells):
            raise ValueError(
                f"the ablation {ablation!r} must have all rows of its design, {next(iter(cells.values())).design}, got "
                f"{', '.join(map(repr, cells))}; one was left out, or another arm has its name: give that, or the "
                "ablation, another (ablate(..., name=...))"
            )


def _is_whole(cells: Mapping[str, Cell]) -> bool:
    one = next(iter(cells.values()))
    if one.design == AblationPath.name:
        return len(cells) == len(AblationPath().rows(len(one.parts)))
    held, found = sum(bool(cell.centre) for cell in cells.values()), contrasts(cells)
    return 0 < len(found) >= held


def check_parts(rows: Sequence["Row"]) -> None:
    """Raise ValueError where rows of an ablation are the same by their study's recipe: a part changes nothing there."""
    seen: list[tuple[str, str, object]] = []
    for row in rows:
        cell = row.arm.cell
        if cell is None:
            continue
        methods, recipe = row.filled({})
        settings = methods.methods, type(recipe), field_values(recipe), row.arm.ranges
        for ablation, other, known in seen:
            if (ablation, known) == (cell.ablation, settings):
                raise ValueError(
                    f"rows {other!r} and {row.name!r} are the same: the study's recipe has already what one of them is "
                    "to have instead of a part; change the part, or the recipe"
                )
        seen.append((cell.ablation, row.name, settings))
