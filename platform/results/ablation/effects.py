"""Effects of an ablation's parts, from its rows' confirm runs: contrasts within seeds, their mean and their spread."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from platform.design.ablation.cell import Cell
from platform.design.ablation.contrasts import Contrast, contrasts
from platform.design.ablation.designs import AblationPath
from platform.design.ablation.fractional import MOST_PARTS, resolution
from platform.results.ablation.cells import cells_by_ablation
from platform.results.ablation.path import Scores, Step, path
from platform.results.comparison import Difference, judged
from platform.results.runs import first, mious
from platform.results.table import Table


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
    """In the order of the parts, effects before interactions; of a path, what its steps gave."""
    looks: int
    """How often a race looks at the rows: each has its share of the level."""
    path: tuple[Step, ...]
    """From the row without any part to the row with all, as far as it was come; empty but for a path, or a full
    factorial."""

    @property
    def is_path(self) -> bool:
        """Whether its rows are those of a path alone."""
        return self.design == AblationPath.name

    @property
    def in_order(self) -> tuple[Effect, ...]:
        """The largest first, whatever its sign, and those that no seed tells of last; of a path as its steps come."""
        if self.is_path:
            return self.effects
        return tuple(sorted(self.effects, key=lambda each: (math.isnan(each.worth.miou), -abs(each.worth.miou))))


def ablations(table: Table) -> tuple[Ablation, ...]:
    """The ablations of a study, in the order of its rows; those of which rows are missing are left out."""
    every = cells_by_ablation(table.header.arms).values()
    return tuple(made for cells in every if (made := _ablation(table, cells)) is not None)


def effects(found: Sequence[Contrast], scores: Scores, looks: int = 1) -> tuple[Effect, ...]:
    """The effects by contrasts, judged together; what seeds can show of one follows from those of as many runs."""
    values = {place: _by_seed(contrast, scores) for place, contrast in enumerate(found)}
    noise = [round(sum(weight**2 for weight in contrast.weights.values()), 9) for contrast in found]
    worth = judged(values, alike=lambda place: noise[place], looks=looks)
    return tuple(Effect(contrast, worth[place]) for place, contrast in enumerate(found))


def _by_seed(contrast: Contrast, scores: Scores) -> list[float]:
    seeds = sorted(set.intersection(*({*scores.get(row, {})} for row in contrast.weights)))
    return [sum(weight * scores[row][seed] for row, weight in contrast.weights.items()) for seed in seeds]


def _ablation(table: Table, cells: Mapping[str, Cell]) -> Ablation | None:
    held = any(cell.centre for cell in cells.values())
    parts = tuple(part for part, _ in next(iter(cells.values())).parts)
    # Somebody else's records may name so many parts that no subset of them is ever through.
    found = contrasts(cells) if held or len(parts) <= MOST_PARTS else ()
    scores = {row: mious(table.runs[row].confirm, table.header.groups) for row in cells}
    steps = _path(table, cells, scores)
    if not found and not steps:
        return None
    searching = [arm for arm in table.header.arms if arm.name in cells and arm.searched]
    one = next(iter(cells.values()))
    return Ablation(
        name=one.ablation,
        design=one.design,
        parts=parts,
        rows=tuple(cells),
        resolution=None if held or not found else resolution([has for _, has in cell.parts] for cell in cells.values()),
        retuned=None if not searching else not any(arm.tuned_as for arm in searching),
        effects=effects(found, scores, table.header.times_looked) if found else tuple(map(_of_step, steps)),
        looks=table.header.times_looked,
        path=steps,
    )


def _of_step(step: Step) -> Effect:
    return Effect(Contrast((step.part,), {step.row: 1.0, step.before: -1.0}), step.worth)


def _path(table: Table, cells: Mapping[str, Cell], scores: Scores) -> tuple[Step, ...]:
    # Where nothing is to come any more, a row without scores will have none: what it begins from may have failed.
    over = all(run.end for runs in table.runs.values() for run in runs.all)
    failed = {row.arm for row in table.rows if over or row.troubles.failure is not None}
    deciding = {row: first(own, table.header.first_seeds) for row, own in scores.items()}
    return path(cells, scores, deciding, failed, table.header.times_looked)
