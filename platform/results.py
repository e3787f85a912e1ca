"""Records to the comparison table: means, Student-t intervals, paired differences, and all that went wrong.

Nothing here reads or writes a file: the same header, asks and records always give the same table.
"""

import dataclasses
import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy.special import stdtrit

from platform import metrics
from platform.labels import SINGLE_CLASSES, Groups, group_names
from platform.records import ArmHeader, Ask, Cause, Confusion, End, Record, Report, State, StudyHeader
from platform.trials import SEARCH_SEED, Trial

FIXED = "fixed"
"""What `Row.tuned` says of an arm without ranges: its values stand in the study file or are published defaults."""

CONFIDENCE = 0.95

Failure = Literal["all trials failed", "all seeds failed"]


@dataclasses.dataclass(frozen=True)
class Row:
    """One arm of the comparison; scores are fractions in [0, 1], nan where no run gives them."""

    arm: str
    method: str
    tuned: str
    """The chosen values of the searched fields; empty while the search has not chosen."""
    seeds: int
    """Confirm runs behind the scores."""
    miou: float
    miou_ci: float
    """Half-width of the 95 % Student-t interval over seeds, nan for fewer than two; so are the other `_ci`."""
    accuracy: float
    accuracy_ci: float
    delta: float
    """Mean difference in mIoU to the reference arm, paired by seed."""
    delta_ci: float
    parameters: int
    discriminator_parameters: int
    gflops: float
    discriminator_gflops: float
    trials: int
    """Search trials asked."""
    stopped: int
    """Search trials that the search ended early."""
    failed: int
    """Failed trials, search and confirm."""
    hours: float
    """Training and evaluation of all the arm's trials."""
    selected_by: str
    """The metric that stopped and picked this arm's trials; `oracle/` for an upper bound trained on target labels."""
    failure: Failure | None
    """What leaves the row without scores, None while some trial may still give them."""
    causes: dict[Cause, int]
    """Why trials failed, the most frequent cause first."""
    flaws: dict[Cause, int]
    """What is wrong with seeds that ran to their end and count: leaving them out would flatter the row."""
    reasons: tuple[str, ...]
    """What went wrong with its trials in numbers, each reason once, with the id of the first trial that gives it."""
    halved: int
    """Trials that ran out of memory and went on with their batches in accumulated halves."""
    searched: str
    """The ranges that the search drew from."""
    deployed_parameters: int
    deployed_gflops: float
    original_gflops: float
    original_discriminator_gflops: float
    miou_original: float
    """By the original study's convention, nan where the ground truth does not distinguish the 19 classes."""
    accuracy_original: float
    supervised: bool
    """Whether the method trains on target labels."""
    seeds_missing: int
    seeds_paired: int
    """Seeds that both this arm and the reference have: those behind the difference."""
    iou: tuple[float, ...]
    """Mean IoU of each of the table's groups."""

    @property
    def differs(self) -> bool:
        """Whether the interval of the paired difference excludes 0; never for a single seed."""
        return abs(self.delta) > self.delta_ci


@dataclasses.dataclass(frozen=True)
class Table:
    """The comparison, and what a reader must know to believe it."""

    header: StudyHeader
    rows: tuple[Row, ...]
    """One per arm, in the study's order, whether it ran or not."""
    absent: tuple[str, ...]
    """Groups that the test split never holds: left out of the mean."""
    notes: tuple[str, ...]
    """What is missing or went wrong, one sentence each; empty for a study that ran to its end without a fault."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the evaluated groups of classes."""
        return group_names(_groups(self.header))

    @property
    def oracle(self) -> bool:
        """Whether target labels chose the configurations."""
        return self.header.select.startswith("oracle/")


@dataclasses.dataclass(frozen=True)
class Run:
    """A trial that was asked for, and what became of it."""

    ask: Ask
    record: Record | None

    @property
    def reports(self) -> tuple[Report, ...]:
        """What it reported so far."""
        return self.record.reports if self.record else ()

    @property
    def end(self) -> End | None:
        """How it ended, None while it has not."""
        return self.record.end if self.record else None

    @property
    def state(self) -> State | None:
        """How it ended in a word, None while it has not."""
        return self.end.state if self.end else None

    @property
    def confusion(self) -> Confusion | None:
        """The confusion matrix on the target's test split of a complete confirm run, None of any other."""
        return self.reports[-1].confusions.get("target/test") if self.state == "complete" and self.reports else None


@dataclasses.dataclass(frozen=True)
class ArmRuns:
    """The runs of one arm that count for the study as it now stands, in the order of their numbers."""

    search: tuple[Run, ...]
    confirm: tuple[Run, ...]
    """All of one configuration, the last one chosen."""

    @property
    def all(self) -> tuple[Run, ...]:
        """Search runs, then confirm runs."""
        return (*self.search, *self.confirm)


@dataclasses.dataclass(frozen=True)
class _Scores:
    """What one confirm run scored on the test split."""

    cityscapes: metrics.Score
    miou_original: float
    accuracy_original: float


def table(header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record]) -> Table:
    """The table of a study from its asks and its records by trial id, complete or not."""
    runs = runs_by_arm(header, asks, records)
    scores = {arm.name: _scores(runs[arm.name].confirm, _groups(header)) for arm in header.arms}
    reference = scores[header.reference]
    rows = tuple(_row(header, arm, runs[arm.name], scores[arm.name], reference) for arm in header.arms)
    seen = [score.cityscapes for by_seed in scores.values() for score in by_seed.values()]
    absent = sorted({position for score in seen for position in score.absent})
    return Table(
        header=header,
        rows=rows,
        absent=tuple(group_names(_groups(header))[position] for position in absent),
        notes=tuple(
            f"{arm.name}: {note}"
            for arm, row in zip(header.arms, rows, strict=True)
            for note in _notes(header, arm, row, runs[arm.name])
        ),
    )


def runs_by_arm(header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record]) -> dict[str, ArmRuns]:
    """The runs that count, by arm.

    A study may be run again with more trials or fewer seeds, or after a fault was mended: of asks with the same arm,
    phase and number the last counts, and confirm runs of a configuration that a longer search has replaced do not.
    """
    latest: dict[tuple[str, str, int], Ask] = {}
    for ask in asks:
        key = (ask.arm, ask.phase, ask.number)
        latest.pop(key, None)  # moves the key to the end: the order becomes that of the last asks
        latest[key] = ask
    found = {}
    for arm in header.arms:
        search = [ask for ask in latest.values() if (ask.arm, ask.phase) == (arm.name, "search")]
        confirm = [ask for ask in latest.values() if (ask.arm, ask.phase) == (arm.name, "confirm")]
        chosen = {_configuration(ask.trial) for ask in confirm[-1:]}
        confirm = [ask for ask in confirm if ask.number < header.seeds and _configuration(ask.trial) in chosen]
        found[arm.name] = ArmRuns(_runs(search, records), _runs(confirm, records))
    return found


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % Student-t interval, t(0.975, n - 1) s / sqrt(n).

    Without values both are nan, of a single value the half-width is: one run says nothing about its spread.
    """
    if not values:
        return math.nan, math.nan
    number = len(values)
    mean = float(np.mean(values))
    if number == 1:
        return mean, math.nan
    quantile = float(stdtrit(number - 1, (1 + CONFIDENCE) / 2))
    return mean, quantile * float(np.std(values, ddof=1)) / math.sqrt(number)


def counted(causes: Mapping[Cause, int]) -> str:
    """How often which cause: `3 diverged, 1 data`; empty without any."""
    return ", ".join(f"{number} {cause}" for cause, number in causes.items())


def _groups(header: StudyHeader) -> Groups:
    return tuple(tuple(group) for group in header.shift["groups"])


def _runs(asks: Sequence[Ask], records: Mapping[str, Record]) -> tuple[Run, ...]:
    return tuple(Run(ask, records.get(ask.trial.id)) for ask in sorted(asks, key=lambda ask: ask.number))


def _configuration(trial: Trial) -> str:
    return dataclasses.replace(trial, seed=SEARCH_SEED).id


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
        failed=len(_failed(runs.all)),
        hours=sum(record.hours for record in by_id.values()),
        selected_by=arm.select,
        failure=_failure(header, arm, runs),
        causes=_causes(_failed(runs.all)),
        flaws=_causes(_flawed(runs)),
        reasons=_reasons((*_failed(runs.all), *_flawed(runs))),
        halved=len(_halved(runs.all)),
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


def _failed(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.state == "failed"]


def _flawed(runs: ArmRuns) -> list[Run]:
    """The seeds that count although something is wrong with them."""
    return [run for run in runs.confirm if run.confusion is not None and run.end and run.end.cause]


def _halved(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if any(report.parts > 1 for report in run.reports)]


def _failure(header: StudyHeader, arm: ArmHeader, runs: ArmRuns) -> Failure | None:
    if len(runs.search) < arm.search_trials or 0 < len(runs.confirm) < header.seeds:
        return None
    if runs.all and all(run.state == "failed" for run in runs.all):
        return "all trials failed"
    if runs.confirm and all(run.state == "failed" for run in runs.confirm):
        return "all seeds failed"
    return None


def _causes(runs: Sequence[Run]) -> dict[Cause, int]:
    """How often each cause occurs, the most frequent first."""
    return dict(Counter(run.end.cause or "error" for run in runs if run.end).most_common())


def _reasons(runs: Sequence[Run]) -> tuple[str, ...]:
    """Each reason once, the most frequent first, on one line of some 200 characters: `loss is nan (0123456789ab)`."""
    trials: dict[str, list[str]] = {}
    for run in runs:
        if run.end:
            reason = textwrap.shorten(run.end.reason, 200, placeholder=" ...") or "no reason recorded"
            trials.setdefault(reason, []).append(run.ask.trial.id)
    return tuple(
        f"{reason} ({first}{f' and {len(others)} more' if others else ''})"
        for reason, (first, *others) in sorted(trials.items(), key=lambda item: -len(item[1]))
    )


def _notes(header: StudyHeader, arm: ArmHeader, row: Row, runs: ArmRuns) -> list[str]:
    """What a reader would not see from the numbers of one row."""
    if not any(run.reports or run.end for run in runs.all):
        return ["nothing ran yet"]
    notes = []
    asked = len(runs.search)
    expected = asked if runs.confirm else max(asked, arm.search_trials)
    if running := expected - sum(run.state is not None for run in runs.search):
        notes.append(f"{running} of {expected} search trials have not ended")
    notes += _failure_notes(header, row, runs)
    if row.flaws:
        seeds = _seeds(_flawed(runs))
        notes.append(f"{counted(row.flaws)} ({seeds}): counted, since leaving seeds out would flatter the row")
    if row.halved:
        seeds = _seeds(_halved(runs.confirm))
        which = f" ({seeds} among them)" if seeds else ""
        notes.append(
            f"{row.halved} of {len(runs.all)} trials ran out of memory and went on with their batches in halves{which}"
        )
    if row.seeds_paired < row.seeds:
        paired = f"{row.seeds_paired} of its {row.seeds} seeds" if row.seeds_paired else "no seed"
        notes.append(f"shares {paired} with the reference, {header.reference}")
    return notes


def _failure_notes(header: StudyHeader, row: Row, runs: ArmRuns) -> list[str]:
    """How many trials failed, of which causes, what that leaves missing, and whether running again may help."""
    notes = []
    failed, asked = _failed(runs.search), len(runs.search)
    confirm_failed = _failed(runs.confirm)
    if row.failure == "all trials failed":
        notes.append(f"all {len(runs.all)} trials failed, which leaves no score: {counted(row.causes)}")
    elif failed:
        notes.append(f"{len(failed)} of {asked} search trials failed: {counted(_causes(failed))}")
    if row.seeds_missing and row.failure != "all trials failed":
        why = f" ({len(confirm_failed)} failed: {counted(_causes(confirm_failed))})" if confirm_failed else ""
        notes.append(f"{row.seeds_missing} of {header.seeds} seeds missing{why}")
    if outside := [run for run in _failed(runs.all) if run.end and run.end.retry]:
        causes = counted(_causes(outside))
        notes.append(f"failed for reasons outside of the trials: {causes}; the same command tries them again")
    return notes


def _seeds(runs: Sequence[Run]) -> str:
    """`seed 2`, `seeds 1 and 3`; empty without runs."""
    numbers = [str(run.ask.trial.seed) for run in runs]
    return f"seed{'s' * (len(numbers) > 1)} {' and '.join(numbers)}" if numbers else ""
