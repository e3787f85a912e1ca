"""Records to the comparison table: means, Student-t intervals, paired differences, and all that went wrong.

Nothing here reads or writes a file: the same header, asks and records always give the same table.
"""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from platform.networks.cost import Cost
from platform.records.plain import legible
from platform.records.record import CPU, TARGET_TEST, ArmHeader, Ask, Record, Report, StudyHeader
from platform.results.comparison import Comparison, compared, detectable
from platform.results.fairness.equal_budget import of_equal_budget
from platform.results.fairness.hours import longest
from platform.results.fairness.ledger import fairness
from platform.results.lines import short
from platform.results.notes import causes_of, failed_runs, failure_of, flawed_runs, halved_runs, notes_of, reasons_of
from platform.results.rounds.rounds import as_asked, decided
from platform.results.runs import ArmRuns, Run, runs_behind, runs_by_arm
from platform.results.statistics.improvement import interquartile_mean
from platform.results.statistics.intervals import interval
from platform.results.table import (
    FIXED,
    UNTESTED,
    UNTIMED,
    UNTIMED_IMAGE,
    Checkpoints,
    Effort,
    Latency,
    Row,
    Scores,
    Speed,
    Table,
    Troubles,
)
from platform.scores import metrics
from platform.shifts.labels import Groups, group_names


@dataclasses.dataclass(frozen=True)
class _Scored:
    """What one confirm run scores on the test split, by both conventions."""

    cityscapes: metrics.Score
    original_miou: float
    original_accuracy: float


_BySeed = Mapping[int, _Scored]
"""The complete confirm runs of one arm, by seed."""


def tabulate(
    header: StudyHeader,
    asks: Sequence[Ask],
    records: Mapping[str, Mapping[str, Record]],
    seeds: Mapping[str, int] | None = None,
) -> Table:
    """The table of a study from its asks and its records by arm and trial id, complete or not.

    `seeds` are those that each row is to have, where the scores do not decide it.
    """
    seeds = decided(header, asks, records) if seeds is None else seeds
    header, runs = as_asked(header, runs_by_arm(header, asks, records), seeds)
    scored = {arm.name: _scored(runs[arm.name].confirm, header.groups) for arm in header.arms}
    mious = {name: {seed: run.cityscapes.miou for seed, run in arm.items()} for name, arm in scored.items()}
    ious = {name: {seed: run.cityscapes.iou for seed, run in arm.items()} for name, arm in scored.items()}
    bounds = _bounds(header)
    ranked, looks = of_equal_budget(header), header.times_looked
    comparisons = compared(mious, ious, len(header.groups), header.reference, ranked, bounds, looks)
    rows = _timed(tuple(_row(header, arm, runs, scored[arm.name], comparisons[arm.name]) for arm in header.arms), runs)
    absent = {position for arm in scored.values() for run in arm.values() for position in run.cityscapes.absent}
    return Table(
        header=header,
        rows=rows,
        runs=runs,
        detectable=detectable(mious, header.reference, header.seeds, looks),
        bounds=bounds,
        absent=tuple(group_names(header.groups)[position] for position in sorted(absent)),
        notes=tuple(
            f"{arm.name}: {note}"
            for arm, row in zip(header.arms, rows, strict=True)
            for note in notes_of(header, arm, row, runs)
        ),
    )


def _scored(confirm: Sequence[Run], groups: Groups) -> _BySeed:
    # Where one label stands for several classes, the original's 18 IoUs do not mean what they meant there.
    comparable = all(len(group) == 1 for group in groups)
    scored = {}
    for run in confirm:
        # A matrix that somebody else wrote may hold nothing to score.
        with suppress(ValueError):
            if run.confusion is not None:
                original = metrics.original(run.confusion)
                scored[run.ask.trial.seed] = _Scored(
                    cityscapes=metrics.cityscapes(run.confusion, groups),
                    original_miou=original.miou if comparable else math.nan,
                    original_accuracy=original.accuracy if comparable else math.nan,
                )
    return scored


def _cost(values: Mapping[str, Any]) -> Cost:
    """What a record holds of a cost; what somebody else's leaves out is not known."""
    return Cost(**{field.name: values.get(field.name, math.nan) for field in dataclasses.fields(Cost)})


def _row(
    header: StudyHeader, arm: ArmHeader, by_arm: Mapping[str, ArmRuns], scored: _BySeed, comparison: Comparison
) -> Row:
    runs = by_arm[arm.name]
    # A searched width changes the cost: what the chosen configuration costs, its own runs say.
    cost: Mapping[str, Any] = next(
        (run.record.cost for run in runs.confirm if run.record and run.record.cost), arm.cost
    )
    return Row(
        arm=arm.name,
        method=arm.method,
        supervised=arm.supervised,
        few=arm.few,
        after=arm.after,
        selected_by=arm.select,
        given=", ".join(f"{name}={value}" for name, value in arm.given.items()),
        searched=", ".join(f"{name}: {range_}" for name, range_ in arm.searched.items()),
        tuned=_tuned(arm, runs),
        scores=_scores(scored, header.groups, header.times_looked),
        checkpoints=_checkpoints(header, arm, runs),
        comparison=comparison,
        cost=_cost(cost),
        latency=UNTIMED_IMAGE,
        effort=_effort(runs, runs_behind(header, arm, by_arm)),
        speed=_speed(runs),
        troubles=_troubles(header, arm, runs, runs.seeds - len(scored)),
        fairness=fairness(header, arm, by_arm),
    )


def _scores(scored: _BySeed, groups: Groups, looks: int) -> Scores:
    miou, miou_ci = interval([run.cityscapes.miou for run in scored.values()], looks)
    accuracy, accuracy_ci = interval([run.cityscapes.accuracy for run in scored.values()], looks)
    by_class = [run.cityscapes.iou for run in scored.values()] or [(math.nan,) * len(groups)]
    return Scores(
        seeds=len(scored),
        miou=miou,
        miou_ci=miou_ci,
        accuracy=accuracy,
        accuracy_ci=accuracy_ci,
        original_miou=interval([run.original_miou for run in scored.values()])[0],
        original_accuracy=interval([run.original_accuracy for run in scored.values()])[0],
        interquartile_miou=interquartile_mean([run.cityscapes.miou for run in scored.values()]),
        iou=tuple(_mean(values) for values in zip(*by_class, strict=True)),
        miou_over={
            number: interval([metrics.miou_over(number, run.cityscapes, groups) for run in scored.values()], looks)
            for number in metrics.LEFT_OUT
        },
    )


def _checkpoints(header: StudyHeader, arm: ArmHeader, runs: ArmRuns) -> Checkpoints:
    """What the last, the selected and the best checkpoint of each complete run score on the test split."""
    found: list[tuple[float, float, float]] = []
    compares = header.compares and arm.select == header.select
    for run in runs.confirm:
        tested = {report.step: _test_miou(report, header.groups) for report in run.reports}
        picked = run.picked(arm.select)
        # Records of before version 0.2 were tested at their end alone.
        if run.state == "complete" and picked is not None and not any(map(math.isnan, tested.values())):
            selected = math.nan if compares else tested[picked.step]
            found.append((tested[run.reports[-1].step], selected, max(tested.values())))
    return Checkpoints(*(_mean(values) for values in zip(*found, strict=True))) if found else UNTESTED


def _test_miou(report: Report, groups: Groups) -> float:
    """mIoU on the test split, nan where it was not tested or holds nothing to score."""
    with suppress(ValueError, KeyError):
        return metrics.cityscapes(report.confusions[TARGET_TEST], groups).miou
    return math.nan


def _mean(values: Sequence[float]) -> float:
    """The mean over the seeds that have a value: one may predict a class that is never true, which another leaves."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _bounds(header: StudyHeader) -> tuple[str, str] | None:
    """The row without adaptation, which is the reference if that has none, and the one that knows all labels."""
    lower = [arm.name for arm in header.arms if not arm.adapts]
    lower = [header.reference] if header.reference in lower else lower
    upper = [arm.name for arm in header.arms if arm.supervised]
    return (lower[0], upper[0]) if len(lower) == len(upper) == 1 else None


def _effort(runs: ArmRuns, behind: Sequence[Run]) -> Effort:
    return Effort(
        trials=len(runs.search),
        stopped=sum(run.state == "stopped" for run in runs.search),
        hours=sum(run.record.hours for run in longest(behind).values() if run.record),
    )


def _timed(rows: Sequence[Row], runs: Mapping[str, ArmRuns]) -> tuple[Row, ...]:
    """The rows, each with the latency of all runs that deploy a network of its cost: a method changes none."""
    alike: dict[tuple[float, float], list[ArmRuns]] = {}
    for row in rows:
        alike.setdefault(_deployed(row), []).append(runs[row.arm])
    return tuple(dataclasses.replace(row, latency=_latency(alike[_deployed(row)])) for row in rows)


def _deployed(row: Row) -> tuple[float, float]:
    return row.cost.deployed_parameters, row.cost.deployed_gflops


def _latency(alike: Sequence[ArmRuns]) -> Latency:
    timed = [(run, report) for runs in alike for run in runs.confirm for report in run.reports if report.latency]
    if not timed:
        return UNTIMED_IMAGE
    timed_on = {_timed_on(report, run.ask.trial.threads) for run, report in timed}
    return Latency(1000 * statistics.median(report.latency for _, report in timed), tuple(sorted(timed_on)))


def _timed_on(report: Report, threads: int) -> str:
    """`cpu, float32, 2 threads`: threads count where the CPU computes."""
    on = f"{report.device}, {report.precision}"
    return f"{on}, {threads} thread{'s' if threads > 1 else ''}" if report.device == CPU else on


def _speed(runs: ArmRuns) -> Speed:
    timed = [report for run in runs.all for report in run.reports if "time/images_per_second" in report.times]
    if not timed:
        return UNTIMED
    evaluating, saving = sum(report.evaluating for report in timed), sum(report.saving for report in timed)
    seconds = sum(report.seconds for report in timed)
    training, whole = seconds - evaluating, seconds + saving
    return Speed(
        trained_on=tuple(sorted({f"{report.device}, {report.precision}" for report in timed})),
        images_per_second=sum(report.images for report in timed) / training,
        awaiting_images=sum(report.awaiting_images for report in timed) / training,
        awaiting_device=sum(report.awaiting_device for report in timed) / training,
        evaluating=evaluating / whole,
        saving=saving / whole,
    )


def _troubles(header: StudyHeader, arm: ArmHeader, runs: ArmRuns, seeds_missing: int) -> Troubles:
    failed, flawed = failed_runs(runs.all), flawed_runs(runs)
    return Troubles(
        failed=len(failed),
        causes=causes_of(failed),
        failure=failure_of(header, arm, runs),
        seeds_missing=seeds_missing,
        flaws=causes_of(flawed),
        halved=len(halved_runs(runs.all)),
        reasons=reasons_of((*failed, *flawed)),
    )


def _tuned(arm: ArmHeader, runs: ArmRuns) -> str:
    """The chosen values of the searched fields, each with what it resolves to: `beta=0.0117 (band 6)`."""
    if not arm.searched:
        return FIXED
    if not runs.confirm:
        return ""
    trial = runs.confirm[0].ask.trial
    values = {**trial.recipe, **trial.hyperparameters}
    lent = f"as {legible(arm.tuned_as)}: " if arm.tuned_as else ""
    # Somebody else's header may search what no trial has.
    said = {name: short(values.get(name, "?")) for name in arm.searched}
    return lent + ", ".join(f"{name}={value}{_meaning(trial.resolved.get(name))}" for name, value in said.items())


def _meaning(resolved: Mapping[str, Any] | None) -> str:
    return " (" + ", ".join(f"{name} {short(value)}" for name, value in resolved.items()) + ")" if resolved else ""
