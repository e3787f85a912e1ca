"""The ledger of fairness: what each row was given and took, and whether that is as much as the reference was given."""

import dataclasses
from collections.abc import Mapping, Sequence

from platform.records.record import TARGET_TEST, TARGET_VAL, ArmHeader, StudyHeader
from platform.results.fairness.hours import Hours, Spent, spent
from platform.results.runs import ArmRuns, Run, ancestors, behind, runs_behind

NO_LABELS, ALL_LABELS = "none", "all"
"""What is said of target labels beside `100 images`."""


@dataclasses.dataclass(frozen=True)
class Fairness:
    """One entry of the ledger: trials, steps, hours and labels; of the row's own runs, where nothing else is said.

    A trial counts once.
    """

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
    hours: Spent
    """By what they went to, and by the kind of device."""
    hours_behind: Hours
    """Of all that its scores rest on, trials of other rows among them, as in `platform.results.runs.Behind`."""
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
    whole = [arm, *(other for other in header.arms if other.name in ancestors(header, arm))]
    labels = ALL_LABELS if arm.supervised else f"{arm.few} images" if arm.few else NO_LABELS
    return Given(
        trials=header.search_trials if arm.search_trials or arm.tuned_as else 0,
        steps=header.steps * sum(each.acts for each in whole),
        training_labels=labels,
        selection_labels=arm.select if arm.select.startswith("oracle/") else NO_LABELS,
    )


def fairness(header: StudyHeader, arm: ArmHeader, by_arm: Mapping[str, ArmRuns]) -> Fairness:
    """The entry of one arm."""
    given, runs = given_to(header, arm), by_arm[arm.name]
    whole, confirm = (*runs.all, *runs.starts), (*runs.confirm, *runs.starts)
    why = _why(header, arm, by_arm)

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
        hours=spent(header, whole),
        hours_behind=spent(header, runs_behind(header, arm, by_arm)).total,
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


def _why(header: StudyHeader, arm: ArmHeader, by_arm: Mapping[str, ArmRuns]) -> tuple[str, ...]:
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
    return (*why, *_unended(header, arm, by_arm))


def _unended(header: StudyHeader, arm: ArmHeader, by_arm: Mapping[str, ArmRuns]) -> list[str]:
    """The searches that an arm's scores rest on and that have not ended: its own, and those of other rows."""
    found, rests = [], behind(header, arm)
    for each in header.arms:
        unended = each.search_trials - sum(run.state is not None for run in by_arm[each.name].search)
        if unended and each.name in rests.whole | rests.searches:
            whose = "" if each.name == arm.name else f" of {each.name}, on which it rests,"
            found.append(f"{unended} of {each.search_trials} search trials{whose} have not ended")
    return found
