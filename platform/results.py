"""Records to the comparison table: means, Student-t intervals, paired differences, and all that is missing.

Nothing here reads or writes a file: the same header, asks and records always give the same table.
"""

import dataclasses
import json
import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit

from platform import metrics
from platform.labels import SINGLE_CLASSES, Groups, group_names
from platform.records import ArmHeader, Ask, Confusion, Record, StudyHeader
from platform.trials import SEARCH_SEED, Trial

FIXED = "fixed"
"""What `Row.tuned` says of an arm without ranges: its values stand in the study file or are published defaults."""

CONFIDENCE = 0.95


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
    reasons: tuple[str, ...]
    """Why trials failed, each reason once."""
    iou: tuple[float, ...]
    """Mean IoU of each of the table's groups."""

    @property
    def differs(self) -> bool:
        """Whether the interval of the paired difference excludes 0; never for a single seed."""
        return abs(self.delta) > self.delta_ci


@dataclasses.dataclass(frozen=True)
class Table:
    """The comparison, and what a reader must know to believe it."""

    study: str
    question: str
    rows: tuple[Row, ...]
    """One per arm, in the study's order, whether it ran or not."""
    reference: str
    select: str
    seeds: int
    search_trials: int
    steps: int
    rungs: tuple[int, ...]
    shift: str
    size: tuple[int, int]
    """Height and width of the images that networks see."""
    groups: tuple[str, ...]
    """Names of the evaluated groups of classes."""
    absent: tuple[str, ...]
    """Groups that the test split never holds: left out of the mean."""
    notes: tuple[str, ...]
    """What is missing, one sentence each; empty for a study that ran to its end without a failure."""

    @property
    def oracle(self) -> bool:
        """Whether target labels chose the configurations."""
        return self.select.startswith("oracle/")


@dataclasses.dataclass(frozen=True)
class ArmTrials:
    """The asks of one arm that count for the study as it now stands."""

    search: tuple[Ask, ...]
    confirm: tuple[Ask, ...]
    """All of one configuration, the last one chosen."""


@dataclasses.dataclass(frozen=True)
class _Scores:
    """What one confirm run scored on the test split."""

    cityscapes: metrics.Score
    miou_original: float
    accuracy_original: float


def table(header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record]) -> Table:
    """The table of a study from its asks and its records by trial id, complete or not."""
    groups: Groups = tuple(tuple(group) for group in header.shift["groups"])
    trials = trials_by_arm(header, asks)
    scores = {arm.name: _scores(trials[arm.name].confirm, records, groups) for arm in header.arms}
    reference = scores[header.reference]
    rows = tuple(_row(header, arm, trials[arm.name], records, scores[arm.name], reference) for arm in header.arms)
    names = group_names(groups)
    seen = [score.cityscapes for by_seed in scores.values() for score in by_seed.values()]
    absent = {position for score in seen for position in score.absent}
    height, width = header.shift["size"]
    return Table(
        study=header.name,
        question=header.question,
        rows=rows,
        reference=header.reference,
        select=header.select,
        seeds=header.seeds,
        search_trials=header.search_trials,
        steps=header.steps,
        rungs=header.rungs,
        shift=header.shift["name"],
        size=(height, width),
        groups=names,
        absent=tuple(names[position] for position in sorted(absent)),
        notes=tuple(
            note
            for arm, row in zip(header.arms, rows, strict=True)
            for note in _notes(header, arm, row, trials[arm.name], records)
        ),
    )


def trials_by_arm(header: StudyHeader, asks: Sequence[Ask]) -> dict[str, ArmTrials]:
    """The asks that count, by arm.

    A study file may be edited and run again: of asks with the same arm, phase and number the last counts, asks for
    another shift or number of steps do not, nor do confirm runs of a configuration that a longer search has replaced.
    """
    shift = {name: _plain(value) for name, value in header.shift.items()}
    latest: dict[tuple[str, str, int], Ask] = {}
    for ask in asks:
        if ask.trial.steps == header.steps and all(
            _plain(value) == shift.get(name) for name, value in ask.trial.shift.items()
        ):
            key = (ask.arm, ask.phase, ask.number)
            latest.pop(key, None)  # moves the key to the end: the order becomes that of the last asks
            latest[key] = ask
    found = {}
    for arm in header.arms:
        search = [ask for ask in latest.values() if (ask.arm, ask.phase) == (arm.name, "search")]
        confirm = [ask for ask in latest.values() if (ask.arm, ask.phase) == (arm.name, "confirm")]
        chosen = {_configuration(ask.trial) for ask in confirm[-1:]}
        confirm = [ask for ask in confirm if ask.number < header.seeds and _configuration(ask.trial) in chosen]
        found[arm.name] = ArmTrials(
            tuple(sorted(search, key=lambda ask: ask.number)), tuple(sorted(confirm, key=lambda ask: ask.number))
        )
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


def final_confusion(record: Record | None) -> Confusion | None:
    """The confusion matrix on the target's test split of a complete run, None of any other."""
    if record is None or record.end is None or record.end.state != "complete" or not record.reports:
        return None
    return record.reports[-1].confusions.get("target/test")


def _plain(value: Any) -> str:
    # A header or trial that was read from disk has lists where one just made has tuples.
    return json.dumps(value, sort_keys=True)


def _configuration(trial: Trial) -> str:
    return dataclasses.replace(trial, seed=SEARCH_SEED).id


def _scores(confirm: Sequence[Ask], records: Mapping[str, Record], groups: Groups) -> dict[int, _Scores]:
    """The scores of the complete confirm runs, by seed."""
    scores = {}
    for ask in confirm:
        confusion = final_confusion(records.get(ask.trial.id))
        if confusion is None:
            continue
        original = metrics.original(confusion)
        # Where one label stands for several classes, the original's 18 IoUs do not mean what they meant there.
        comparable = sorted(groups) == list(SINGLE_CLASSES)
        scores[ask.trial.seed] = _Scores(
            cityscapes=metrics.cityscapes(confusion, groups),
            miou_original=original.miou if comparable else math.nan,
            accuracy_original=original.accuracy if comparable else math.nan,
        )
    return scores


def _row(
    header: StudyHeader,
    arm: ArmHeader,
    trials: ArmTrials,
    records: Mapping[str, Record],
    scores: Mapping[int, _Scores],
    reference: Mapping[int, _Scores],
) -> Row:
    miou, miou_ci = interval([score.cityscapes.miou for score in scores.values()])
    accuracy, accuracy_ci = interval([score.cityscapes.accuracy for score in scores.values()])
    paired = sorted(scores.keys() & reference.keys())
    delta, delta_ci = interval([scores[seed].cityscapes.miou - reference[seed].cityscapes.miou for seed in paired])
    runs = {ask.trial.id: records.get(ask.trial.id) for ask in (*trials.search, *trials.confirm)}
    confirmed = (record for ask in trials.confirm if (record := runs[ask.trial.id]))
    # A searched width changes the cost: what the chosen configuration costs, its own runs say.
    cost = next((record.cost for record in confirmed), arm.cost)
    return Row(
        arm=arm.name,
        method=arm.method,
        tuned=_tuned(arm, trials),
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
        trials=len(trials.search),
        stopped=_count(trials.search, records, "stopped"),
        failed=_count((*trials.search, *trials.confirm), records, "failed"),
        hours=sum(record.hours for record in runs.values() if record),
        selected_by=arm.select,
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
        reasons=tuple(_reasons((*trials.search, *trials.confirm), records)),
        iou=_mean_iou(scores, len(header.shift["groups"])),
    )


def _mean_iou(scores: Mapping[int, _Scores], number_of_groups: int) -> tuple[float, ...]:
    if not scores:
        return (math.nan,) * number_of_groups
    return tuple(np.mean([score.cityscapes.iou for score in scores.values()], axis=0).tolist())


def _tuned(arm: ArmHeader, trials: ArmTrials) -> str:
    """The chosen values of the searched fields, each with what it resolves to: `beta=0.0117 (band 6)`."""
    if not arm.searched:
        return FIXED
    if not trials.confirm:
        return ""
    trial = trials.confirm[0].trial
    values = {**trial.recipe, **trial.hyperparameters}
    return ", ".join(f"{name}={_short(values[name])}{_meaning(trial.resolved.get(name))}" for name in arm.searched)


def _meaning(resolved: Mapping[str, Any] | None) -> str:
    return " (" + ", ".join(f"{name} {_short(value)}" for name, value in resolved.items()) + ")" if resolved else ""


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _count(asks: Sequence[Ask], records: Mapping[str, Record], state: str) -> int:
    return sum(1 for ask in asks if _state(ask, records) == state)


def _state(ask: Ask, records: Mapping[str, Record]) -> str | None:
    record = records.get(ask.trial.id)
    return record.end.state if record and record.end else None


def _reasons(asks: Sequence[Ask], records: Mapping[str, Record]) -> list[str]:
    """Why trials failed, the most frequent reason first, each on one line of at most 200 characters."""
    failed = [ask for ask in asks if _state(ask, records) == "failed"]
    ends = [record.end for ask in failed if (record := records.get(ask.trial.id))]
    counts = Counter(textwrap.shorten(end.reason, 200) or "no reason recorded" for end in ends if end)
    return [reason for reason, _ in counts.most_common()]


def _notes(
    header: StudyHeader, arm: ArmHeader, row: Row, trials: ArmTrials, records: Mapping[str, Record]
) -> list[str]:
    """What a reader would not see from the numbers of one row."""
    if not any(ask.trial.id in records for ask in (*trials.search, *trials.confirm)):
        return [f"{arm.name}: nothing ran yet"]
    notes = []
    asked = len(trials.search)
    # A small space can be exhausted before its last trial: once confirm runs are asked, the search is over.
    expected = asked if trials.confirm or not arm.searched else max(asked, header.search_trials)
    running = expected - sum(_state(ask, records) is not None for ask in trials.search)
    if running:
        notes.append(f"{arm.name}: {running} of {expected} search trials have not ended")
    if failed := _count(trials.search, records, "failed"):
        notes.append(f"{arm.name}: {failed} of {asked} search trials failed: {_joined(trials.search, records)}")
    if row.seeds_missing:
        failed = _count(trials.confirm, records, "failed")
        why = f" ({failed} failed: {_joined(trials.confirm, records)})" if failed else ""
        notes.append(f"{arm.name}: {row.seeds_missing} of {header.seeds} seeds missing{why}")
    if row.seeds_paired < row.seeds:
        paired = f"{row.seeds_paired} of its {row.seeds} seeds" if row.seeds_paired else "no seed"
        notes.append(f"{arm.name}: shares {paired} with the reference, {header.reference}")
    return notes


def _joined(asks: Sequence[Ask], records: Mapping[str, Record]) -> str:
    return "; ".join(_reasons(asks, records))
