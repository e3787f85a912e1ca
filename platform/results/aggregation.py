"""Records to the comparison table: means, Student-t intervals, paired differences, and all that went wrong.

Nothing here reads or writes a file: the same header, asks and records always give the same table.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from platform.records.record import ArmHeader, Ask, Record, StudyHeader
from platform.results.notes import causes_of, failed_runs, failure_of, flawed_runs, halved_runs, notes_of, reasons_of
from platform.results.runs import ArmRuns, Run, groups_of, runs_by_arm
from platform.results.statistics import interval
from platform.results.table import FIXED, Row, Table
from platform.scores import metrics
from platform.shifts.labels import SINGLE_CLASSES, Groups, group_names


@dataclasses.dataclass(frozen=True)
class _Scores:
    """What one confirm run scored on the test split."""

    cityscapes: metrics.Score
    miou_original: float
    accuracy_original: float


def table(header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record]) -> Table:
    """The table of a study from its asks and its records by trial id, complete or not."""
    runs = runs_by_arm(header, asks, records)
    scores = {arm.name: _scores(runs[arm.name].confirm, groups_of(header)) for arm in header.arms}
    reference = scores[header.reference]
    rows = tuple(_row(header, arm, runs[arm.name], scores[arm.name], reference) for arm in header.arms)
    seen = [score.cityscapes for by_seed in scores.values() for score in by_seed.values()]
    absent = sorted({position for score in seen for position in score.absent})
    return Table(
        header=header,
        rows=rows,
        absent=tuple(group_names(groups_of(header))[position] for position in absent),
        notes=tuple(
            f"{arm.name}: {note}"
            for arm, row in zip(header.arms, rows, strict=True)
            for note in notes_of(header, arm, row, runs[arm.name])
        ),
    )


def _scores(confirm: Sequence[Run], groups: Groups) -> dict[int, _Scores]:
    """The scores of the complete confirm runs, by seed."""
    # Where one label stands for several classes, the original's 18 IoUs do not mean what they meant there.
    comparable = sorted(groups) == list(SINGLE_CLASSES)
    scores = {}
    for run in confirm:
        if run.confusion is not None:
            original = metrics.original(run.confusion)
            scores[run.ask.trial.seed] = _Scores(
                cityscapes=metrics.cityscapes(run.confusion, groups),
                miou_original=original.miou if comparable else math.nan,
                accuracy_original=original.accuracy if comparable else math.nan,
            )
    return scores


def _row(
    header: StudyHeader, arm: ArmHeader, runs: ArmRuns, scores: Mapping[int, _Scores], reference: Mapping[int, _Scores]
) -> Row:
    miou, miou_ci = interval([score.cityscapes.miou for score in scores.values()])
    accuracy, accuracy_ci = interval([score.cityscapes.accuracy for score in scores.values()])
    paired = sorted(scores.keys() & reference.keys())
    delta, delta_ci = interval([scores[seed].cityscapes.miou - reference[seed].cityscapes.miou for seed in paired])
    # A searched width changes the cost: what the chosen configuration costs, its own runs say.
    cost = next((run.record.cost for run in runs.confirm if run.record), arm.cost)
    by_id = {run.record.trial.id: run.record for run in runs.all if run.record}
    return Row(
        arm=arm.name,
        method=arm.method,
        tuned=_tuned(arm, runs),
        seeds=len(scores),
        miou=miou,
        miou_ci=miou_ci,
        accuracy=accuracy,
        accuracy_ci=accuracy_ci,
        delta=delta,
        delta_ci=delta_ci,
        parameters=int(cost["parameters"]),
        discriminator_parameters=int(cost["discriminator_parameters"]),
        gflops=cost["gflops"],
        discriminator_gflops=cost["discriminator_gflops"],
        trials=len(runs.search),
        stopped=sum(run.state == "stopped" for run in runs.search),
        failed=len(failed_runs(runs.all)),
        hours=sum(record.hours for record in by_id.values()),
        selected_by=arm.select,
        failure=failure_of(header, arm, runs),
        causes=causes_of(failed_runs(runs.all)),
        flaws=causes_of(flawed_runs(runs)),
        reasons=reasons_of((*failed_runs(runs.all), *flawed_runs(runs))),
        halved=len(halved_runs(runs.all)),
        searched=", ".join(f"{name}: {range_}" for name, range_ in arm.searched.items()),
        deployed_parameters=int(cost["deployed_parameters"]),
        deployed_gflops=cost["deployed_gflops"],
        original_gflops=cost["original_gflops"],
        original_discriminator_gflops=cost["original_discriminator_gflops"],
        miou_original=interval([score.miou_original for score in scores.values()])[0],
        accuracy_original=interval([score.accuracy_original for score in scores.values()])[0],
        supervised=arm.supervised,
        seeds_missing=header.seeds - len(scores),
        seeds_paired=len(paired),
        iou=_mean_iou(scores, len(header.shift["groups"])),
    )


def _mean_iou(scores: Mapping[int, _Scores], number_of_groups: int) -> tuple[float, ...]:
    if not scores:
        return (math.nan,) * number_of_groups
    return tuple(np.mean([score.cityscapes.iou for score in scores.values()], axis=0).tolist())


def _tuned(arm: ArmHeader, runs: ArmRuns) -> str:
    """The chosen values of the searched fields, each with what it resolves to: `beta=0.0117 (band 6)`."""
    if not arm.searched:
        return FIXED
    if not runs.confirm:
        return ""
    trial = runs.confirm[0].ask.trial
    values = {**trial.recipe, **trial.hyperparameters}
    return ", ".join(f"{name}={_short(values[name])}{_meaning(trial.resolved.get(name))}" for name in arm.searched)


def _meaning(resolved: Mapping[str, Any] | None) -> str:
    return " (" + ", ".join(f"{name} {_short(value)}" for name, value in resolved.items()) + ")" if resolved else ""


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
