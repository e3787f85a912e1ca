"""Effects of an ablation's parts, from its rows' confirm runs: contrasts within seeds, their mean and their spread."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from platform.design.ablation.cell import Cell
from platform.design.ablation.contrasts import Contrast, contrasts
from platform.design.ablation.fractional import MOST_PARTS, resolution
from platform.records.record import ArmHeader
from platform.results.ablation.path import Step, path
from platform.results.comparison import Difference, judged
from platform.results.runs import mious
from platform.results.table import Table

Scores = Mapping[str, Mapping[int, float]]
"""mIoU on the test split in [0, 1], by row and seed."""


@dataclass(frozen=True)
class Effect:
    """What a part, or two together, are worth."""

    contrast: Contrast
    worth: Difference
    """In mIoU, taken seed by seed where all rows of the contrast are complete; judged among the ablation's effects."""


@dataclass(frozen=True)
class Ablation:
    """One ablation of a study, evaluated."""

    name: str
    design: str
    parts: tuple[str, ...]
    rows: tuple[str, ...]
    resolution: int | None
    """Of a fractional factorial; None for other designs."""
    retuned: bool | None
    """Whether each row has searched its ranges; False where they took what one search had chosen, None without any."""
    effects: tuple[Effect, ...]
    """In the order of the parts, effects before interactions."""
    path: tuple[Step, ...]
    """From the row without any part to the row with all; empty but for a full factorial."""

    @property
    def by_size(self) -> tuple[Effect, ...]:
        """The largest first, whatever its sign; those that no seed tells of last."""
        return tuple(sorted(self.effects, key=lambda each: (math.isnan(each.worth.miou), -abs(each.worth.miou))))


def ablations(table: Table) -> tuple[Ablation, ...]:
    """The ablations of a study, in the order of its rows; those of which rows are missing are left out."""
    by_name: dict[str, list[ArmHeader]] = {}
    for arm in table.header.arms:
        if arm.ablation:
            by_name.setdefault(arm.ablation, []).append(arm)
    scores = {arm: mious(runs.confirm, table.header.groups) for arm, runs in table.runs.items()}
    return tuple(made for arms in by_name.values() if (made := _ablation(arms, scores)) is not None)


def effects(found: Sequence[Contrast], scores: Scores) -> tuple[Effect, ...]:
    """The effects by contrasts, judged together; what seeds can show of one follows from those of as many runs."""
    values = {place: _by_seed(contrast, scores) for place, contrast in enumerate(found)}
    noise = [round(sum(weight**2 for weight in contrast.weights.values()), 9) for contrast in found]
    worth = judged(values, alike=lambda place: noise[place])
    return tuple(Effect(contrast, worth[place]) for place, contrast in enumerate(found))


def _by_seed(contrast: Contrast, scores: Scores) -> list[float]:
    seeds = sorted(set.intersection(*({*scores.get(row, {})} for row in contrast.weights)))
    return [sum(weight * scores[row][seed] for row, weight in contrast.weights.items()) for seed in seeds]


def _ablation(arms: Sequence[ArmHeader], scores: Scores) -> Ablation | None:
    cells = {
        arm.name: Cell(ablation=arm.ablation, design=arm.design, parts=tuple(arm.parts.items()), against=arm.against)
        for arm in arms
    }
    held = any(cell.against for cell in cells.values())
    # Somebody else's records may name so many parts that no subset of them is ever through.
    found = contrasts(cells) if held or len(arms[0].parts) <= MOST_PARTS else ()
    if not found:
        return None
    searching = [arm for arm in arms if arm.searched]
    return Ablation(
        name=arms[0].ablation,
        design=arms[0].design,
        parts=tuple(arms[0].parts),
        rows=tuple(cells),
        resolution=None if held else resolution(list(arm.parts.values()) for arm in arms),
        retuned=None if not searching else not any(arm.tuned_as for arm in searching),
        effects=effects(found, scores),
        path=path(cells, scores),
    )
