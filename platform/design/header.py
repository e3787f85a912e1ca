"""The header of a study's records: what they must say of the study for the table to be made from them alone."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from platform.design.ablation.cell import Cell
from platform.design.row import Row
from platform.records.record import ArmHeader, StudyHeader
from platform.scores.selectors.choice import identity_of

if TYPE_CHECKING:
    from platform.design.study import Study


def header(
    study: "Study", name: str, question: str, shift_identity: dict[str, object], source: str, began: str
) -> StudyHeader:
    """What the study's records must hold for the table to be made from them alone."""
    return StudyHeader(
        name=name,
        question=question,
        arms=tuple(map(_arm, study.rows)),
        reference=study.reference,
        select=study.selected_by,
        seeds=study.seeds,
        looks=study.looks,
        search_trials=study.search.trials if study.search else 0,
        steps=study.budget.steps,
        rungs=study.rungs,
        reduction=study.search.reduction if study.search else 0,
        smoothing=study.search.smoothing if study.search else 0,
        parallel=study.search.at_a_time if study.search else 0,
        promote=study.search is not None and study.search.promote,
        shift=shift_identity,
        source=source,
        began=began,
        checkpoint=study.checkpoint,
        selector="" if study.selector is None else identity_of(study.selector),
        compares=study.selector is not None and study.selector.compares(),
        licences=dict(study.shift.licences),
    )


def _arm(row: Row) -> ArmHeader:
    return ArmHeader(
        name=row.name,
        method=row.arm.name,
        supervised=row.supervised,
        select=row.selector,
        searched={field: str(range_) for field, range_ in row.arm.ranges.items()},
        search_trials=row.search_trials,
        warm_up=row.arm.warm_up(row.recipe),
        cost=asdict(row.cost),
        after=row.arm.follows,
        starts_searches=row.starts_searches,
        few=row.few,
        recalibrated=row.recalibrated,
        integers={
            field: tuple(map(dimension.integer.of, dimension.range.ends()))
            for field, dimension in row.dimensions.items()
            if dimension.integer is not None
        },
        given={field: str(value) for field, value in row.arm.fields.items() if field not in row.arm.ranges},
        adapts=row.adapts,
        tuned_as=row.arm.tuner,
        **_place(row.arm.cell),
        gpus=row.slot.gpus,
        acts=row.filled({})[0].acts,
    )


def _place(cell: Cell | None) -> dict[str, Any]:
    """An arm's place in an ablation, as headers have it."""
    return {} if cell is None else asdict(cell) | {"parts": dict(cell.parts)}
