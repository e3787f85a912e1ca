"""Effects of an ablation's parts, from its rows' confirm runs: contrasts within seeds, their mean and their spread."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from platform.design.ablation.cell import Cell
from platform.design.ablation.contrasts import Contrast, contrasts
from platform.design.ablation.fractional import resolution
from platform.records.record import ArmHeader
from platform.results.runs import Run
from platform.results.statistics.intervals import interval
from platform.results.statistics.significance import holm, paired_t
from platform.results.table import Table
from platform.scores import metrics
from platform.shifts.labels import Groups

Scores = Mapping[str, Mapping[int, float]]
"""mIoU on the test split in [0, 1], by row and seed."""


@dataclass(frozen=True)
class Effect:
    """What a part, or two together, are worth in mIoU; nan where no seed tells."""

    contrast: Contrast
    seeds: int
    """Seeds on which all rows of the contrast are complete."""
    miou: float
    """Mean over these seeds of the contrast, taken seed by seed."""
    miou_ci: float
    """Half-width of its 95 % Student-t interval, nan for fewer than two seeds."""
    p: float
    """Of Student's paired t-test, by Holm's correction for all effects of the ablation; nan for fewer than two."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval excludes 0; never for a single seed."""
        return abs(self.miou) > self.miou_ci


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

    @property
    def by_size(self) -> tuple[Effect, ...]:
        """The largest first, whatever its sign; those that no seed tells of last."""
        return tuple(sorted(self.effects, key=lambda each: (math.isnan(each.miou), -abs(each.miou))))


def ablations(table: Table) -> tuple[Ablation, ...]:
    """The ablations of a study, in the order of its rows; those of which rows are missing are left out."""
    by_name: dict[str, list[ArmHeader]] = {}
    for arm in table.header.arms:
        if arm.ablation:
            by_name.setdefault(arm.ablation, []).append(arm)
    scores = {arm: scored(runs.confirm, table.header.groups) for arm, runs in table.runs.items()}
    return tuple(made for arms in by_name.values() if (made := _ablation(arms, scores)) is not None)


def scored(runs: Sequence[Run], groups: Groups) -> dict[int, float]:
    """mIoU of the complete runs by seed."""
    found = {}
    for run in runs:
        # A matrix that somebody else wrote may hold nothing to score.
        with suppress(ValueError):
            if run.confusion is not None:
                found[run.ask.trial.seed] = metrics.cityscapes(run.confusion, groups).miou
    return found


def effects(found: Sequence[Contrast], scores: Scores) -> tuple[Effect, ...]:
    """The effects by contrasts, with p-values corrected for all of them."""
    made = [_effect(contrast, scores) for contrast in found]
    adjusted = holm({place: each.p for place, each in enumerate(made)})
    return tuple(replace(each, p=adjusted[place]) for place, each in enumerate(made))


def _effect(contrast: Contrast, scores: Scores) -> Effect:
    seeds = sorted(set.intersection(*({*scores.get(row, {})} for row in contrast.weights)))
    values = [sum(weight * scores[row][seed] for row, weight in contrast.weights.items()) for seed in seeds]
    miou, miou_ci = interval(values)
    return Effect(contrast, len(seeds), miou, miou_ci, paired_t(values))


def _ablation(arms: Sequence[ArmHeader], scores: Scores) -> Ablation | None:
    cells = {
        arm.name: Cell(ablation=arm.ablation, design=arm.design, parts=tuple(arm.parts.items()), against=arm.against)
        for arm in arms
    }
    found = contrasts(cells)
    if not found:
        return None
    searching = [arm for arm in arms if arm.searched]
    whole = any(cell.against for cell in cells.values())
    return Ablation(
        name=arms[0].ablation,
        design=arms[0].design,
        parts=tuple(arms[0].parts),
        rows=tuple(cells),
        resolution=None if whole else resolution(list(arm.parts.values()) for arm in arms),
        retuned=None if not searching else not any(arm.tuned_as for arm in searching),
        effects=effects(found, scores),
    )
