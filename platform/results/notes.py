"""What is missing from a row or went wrong with it, counted and in words."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from platform.records.plain import listed
from platform.records.record import ArmHeader, Cause, StudyHeader
from platform.results.runs import ArmRuns, Run
from platform.results.table import Failure, Row


def counted(causes: Mapping[Cause, int]) -> str:
    """How often which cause: `3 diverged, 1 data`; empty without any."""
    return ", ".join(f"{number} {cause}" for cause, number in causes.items())


def failed_runs(runs: Sequence[Run]) -> list[Run]:
    """The runs that failed."""
    return [run for run in runs if run.state == "failed"]


def flawed_runs(runs: ArmRuns) -> list[Run]:
    """The seeds that count although something is wrong with them."""
    return [run for run in runs.confirm if run.confusion is not None and run.end and run.end.cause]


def halved_runs(runs: Sequence[Run]) -> list[Run]:
    """The runs that ran out of memory and went on with their batches in accumulated halves."""
    return [run for run in runs if any(report.parts > 1 for report in run.reports)]


def failure_of(header: StudyHeader, arm: ArmHeader, runs: ArmRuns) -> Failure | None:
    """What leaves an arm without scores, None while some trial may still give them."""
    if len(runs.search) < arm.search_trials or 0 < len(runs.confirm) < runs.seeds:
        return None
    if runs.all and all(run.state == "failed" for run in runs.all):
        return "all trials failed"
    if runs.confirm and all(run.state == "failed" for run in runs.confirm):
        return "all seeds failed"
    return None


def causes_of(runs: Sequence[Run]) -> dict[Cause, int]:
    """How often each cause occurs, the most frequent first."""
    return dict(Counter(run.end.cause or "error" for run in runs if run.end).most_common())


def reasons_of(runs: Sequence[Run]) -> tuple[str, ...]:
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


def notes_of(header: StudyHeader, arm: ArmHeader, row: Row, by_arm: Mapping[str, ArmRuns]) -> list[str]:
    """What a reader would not see from the numbers of one row."""
    runs, lacking = by_arm[arm.name], _beginnings_that_failed(arm, by_arm)
    if not any(run.reports or run.end for run in runs.all):
        return ["nothing ran yet", *lacking]
    notes = []
    asked = len(runs.search)
    expected = asked if runs.confirm else max(asked, arm.search_trials)
    if running := expected - sum(run.state is not None for run in runs.search):
        notes.append(f"{running} of {expected} search trials have not ended")
    notes += [*_failure_notes(header, row, runs), *lacking]
    if row.troubles.flaws:
        seeds = _seeds(flawed_runs(runs))
        notes.append(f"{counted(row.troubles.flaws)} ({seeds}): counted, since leaving seeds out would flatter the row")
    if halved := row.troubles.halved:
        seeds = _seeds(halved_runs(runs.confirm))
        which = f" ({seeds} among them)" if seeds else ""
        went_on = "ran out of memory and went on with their batches in halves"
        notes.append(f"{halved} of {len(runs.all)} trials {went_on}{which}")
    if (paired := row.comparison.to_reference.seeds) < row.scores.seeds:
        shared = f"{paired} of its {row.scores.seeds} seeds" if paired else "no seed"
        notes.append(f"shares {shared} with the reference, {header.reference}")
    return notes


def _beginnings_that_failed(arm: ArmHeader, by_arm: Mapping[str, ArmRuns]) -> list[str]:
    """Which of the runs that a row would begin from there are not."""
    notes = []
    for name in arm.after:
        runs = by_arm.get(name)  # somebody else's records may name an arm that there is not
        if runs is not None and (failed := failed_runs([*runs.confirm, *runs.starts])):
            notes.append(f"begins from the runs of {name}, of which {_seeds(failed)} failed")
    return notes


def _failure_notes(header: StudyHeader, row: Row, runs: ArmRuns) -> list[str]:
    """How many trials failed, of which causes, what that leaves missing, and whether running again may help."""
    notes = []
    failed, asked = failed_runs(runs.search), len(runs.search)
    confirm_failed = failed_runs(runs.confirm)
    if row.troubles.failure == "all trials failed":
        notes.append(f"all {len(runs.all)} trials failed, which leaves no score: {counted(row.troubles.causes)}")
    elif failed:
        notes.append(f"{len(failed)} of {asked} search trials failed: {counted(causes_of(failed))}")
    if row.troubles.seeds_missing and row.troubles.failure != "all trials failed":
        why = f" ({len(confirm_failed)} failed: {counted(causes_of(confirm_failed))})" if confirm_failed else ""
        notes.append(f"{row.troubles.seeds_missing} of {runs.seeds} seeds missing{why}")
    errors = [run for run in failed_runs(runs.all) if run.end and run.end.cause == "error"]
    again = [run for run in failed_runs(runs.all) if run.record and run.record.is_given_up]
    if errors:
        log = f"{header.name}/log.txt among the results"
        ours = [run for run in errors if run not in again]
        remedy = "run the same command" if len(ours) < len(errors) else "start over with --fresh, if it shall count"
        notes.append(f"an error in the code, see {log} for its traceback: mend it, then {remedy}")
    if again:
        waits = listed([f"{_name(run)} ({run.end.cause})" for run in again if run.end])
        decides, them = ("decide", "them") if len(again) > 1 else ("decides", "it")
        notes.append(f"waits for {waits}, which {decides} nothing; the same command tries {them} again")
    return notes


def _name(run: Run) -> str:
    """`search trial 3`, counted from 0 as everywhere, or `seed 2`."""
    return f"search trial {run.ask.number}" if run.ask.phase == "search" else f"seed {run.ask.trial.seed}"


def _seeds(runs: Sequence[Run]) -> str:
    """`seed 2`, `seeds 1 and 3`; empty without runs."""
    numbers = [str(run.ask.trial.seed) for run in runs]
    return f"seed{'s' * (len(numbers) > 1)} {listed(numbers)}" if numbers else ""
