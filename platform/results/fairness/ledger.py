"""The ledger of fairness: what each row was given and took, and whether that is as much as the reference was given."""

import dataclasses
from collections.abc import Mapping, Sequence

from platform.records.record import TARGET_TEST, TARGET_VAL, ArmHeader, StudyHeader
from platform.results.fairness.hours import spent
from platform.results.runs import ArmRuns, Run, ancestors

NO_LABELS, ALL_LABELS = "none", "all"
"""What is said of target labels beside `100 images`."""


@dataclasses.dataclass(frozen=True)
class Fairness:
    """One entry of the ledger: trials, steps, hours and labels of the row's own runs; a trial counts once."""

    trials: int
    """Search trials asked."""
    complete: int
    """Of these, those that were trained to their last step; then those that the search stopped, and that failed."""
    stopped: int
    failed: int
    search_steps: int
    """Optimiser steps of all search trials."""
    confirm_steps: int
    """Optimiser steps of the runs on fresh seeds, of one that searches of other rows begin from as well."""
    stopped_steps: int
    """Of all these steps, those of trials that the search stopped; then those of trials that failed."""
    failed_steps: int
    steps_per_score: int
    """Optimiser steps behind one score: those of a run, and of the runs of other rows that it begins from."""
    search_gpu_hours: float
    """Hours by what they went to, and by the kind of device, as in `platform.results.fairness.hours`."""
    search_cpu_hours: float
    confirm_gpu_hours: float
    confirm_cpu_hours: float
    failed_gpu_hours: float
    failed_cpu_hours: float
    training_labels: str
    """Target labels that training reads, its own or that of rows that it begins from: `none`, `100 images`, `all`."""
    selection_labels: str
    """The metric of target labels that picks trials: `none`, `oracle/miou`."""
    monitored: int
    """Evaluations that noted, beside what selects, how the target's val labels would score them: `oracle/...`."""
    tested: int
    """Evaluations of runs on fresh seeds that read the target's sealed test labels, for the final table alone."""
    tested_in_search: int
    """Such evaluations of search trials: none in records that this project wrote."""
    equal: bool
    """Whether the row's budget is the reference's: as many search trials, steps behind a score, and labels."""
    why: tuple[str, ...]
    """What it was given that the reference was not, or lacked."""


@dataclasses.dataclass(frozen=True)
class Given:
    """What a row's budget is, known before anything runs."""

    trials: int
    """Search trials that its ranges may have, or that of the row as which it is tuned, 0 without any; where ranges hold
    fewer points, each is tried."""
    steps: int
    """Behind one score."""
    training_labels: str
    selection_labels: str


def given_to(header: StudyHeader, arm: ArmHeader) -> Given:
    """An arm's budget."""
    behind = [arm, *(other for other in header.arms if other.name in ancestors(header, arm))]
    labels = ALL_LABELS if arm.supervised else f"{arm.few} images" if arm.few else NO_LABELS
    return Given(
        trials=header.search_trials if arm.search_trials or arm.tuned_as else 0,
        steps=header.steps * sum(each.acts for each in behind),
        training_labels=labels,
        selection_labels=arm.select if arm.select.startswith("oracle/") else NO_LABELS,
    )


def fairness(header: StudyHeader, arm: ArmHeader, runs: ArmRuns) -> Fairness:
    """The entry of one arm."""
    given, whole = given_to(header, arm), (*runs.all, *runs.starts)
    confirm, hours = (*runs.confirm, *runs.starts), spent(header, whole)
    why = _why(header, arm, runs)

    def steps(of: Sequence[Run]) -> int:
        return sum({run.ask.trial.id: run.record.step for run in of if run.record}.values()) if arm.acts else 0

    return Fairness(
        trials=len(runs.search),
        complete=len(_of(runs.search, "complete")),
        stopped=len(_of(runs.search, "stopped")),
        failed=len(_of(runs.search, "failed")),
        search_steps=steps(runs.search),
        confirm_steps=steps(confirm),
        stopped_steps=steps(_of(whole, "stopped")),
        failed_steps=steps(_of(whole, "failed")),
        steps_per_score=given.steps,
        search_gpu_hours=hours.search.gpu,
        search_cpu_hours=hours.search.cpu,
        confirm_gpu_hours=hours.confirm.gpu,
        confirm_cpu_hours=hours.confirm.cpu,
        failed_gpu_hours=hours.failed.gpu,
        failed_cpu_hours=hours.failed.cpu,
        training_labels=given.training_labels,
        selection_labels=given.selection_labels,
        monitored=_evaluations(whole, TARGET_VAL),
        tested=_evaluations(confirm, TARGET_TEST),
        tested_in_search=_evaluations(runs.search, TARGET_TEST),
        equal=not why,
        why=why,
    )


def _of(runs: Sequence[Run], state: str) -> list[Run]:
    return [run for run in runs if run.state == state]


def _evaluations(runs: Sequence[Run], split: str) -> int:
    """How many evaluations have counted the confusions of a split, which takes its labels."""
    found: Mapping[tuple[str, int], bool] = {
        (run.ask.trial.id, report.step): split in report.confusions for run in runs for report in run.reports
    }
    return sum(found.values())


def _why(header: StudyHeader, arm: ArmHeader, runs: ArmRuns) -> tuple[str, ...]:
    """What an arm was given that the reference was not, or lacks; nothing for the reference itself."""
    reference = next(other for other in header.arms if other.name == header.reference)
    if arm.name == reference.name:
        return ()
    mine, theirs, why = given_to(header, arm), given_to(header, reference), []
    if mine.training_labels != theirs.training_labels:
        why.append(f"trains on target labels ({mine.training_labels}), {reference.name} on {theirs.training_labels}")
    if mine.selection_labels != theirs.selection_labels:
        why.append(f"picked by target labels ({mine.selection_labels}), {reference.name} by {theirs.selection_labels}")
    if mine.trials != theirs.trials:
        why.append(f"{mine.trials} search trials, {reference.name} {theirs.trials}")
    if mine.steps != theirs.steps:
        why.append(f"{mine.steps:,} steps behind a score, {reference.name} {theirs.steps:,}")
    if unended := arm.search_trials - sum(run.state is not None for run in runs.search):
        why.append(f"{unended} of {arm.search_trials} search trials have not ended")
    return tuple(why)
