"""Hours by phase and by kind of device, of a row or of a whole study."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

from platform.records.record import CPU, Phase, Record, Report, StudyHeader
from platform.results.runs import Run

Spending = Literal["search", "confirm", "failed"]
"""What hours went to: the search, with the trials that it stopped; the runs that count; trials that failed."""


@dataclasses.dataclass(frozen=True)
class Hours:
    """Hours of training and evaluating, by the kind of device that computed."""

    gpu: float = 0.0
    """GPU hours: hours of trials that were trained on a GPU, times the share of it that their study gives them."""
    cpu: float = 0.0
    """CPU hours: hours of trials that were trained on no GPU, times their threads."""

    def __add__(self, other: "Hours") -> "Hours":
        return Hours(self.gpu + other.gpu, self.cpu + other.cpu)


@dataclasses.dataclass(frozen=True)
class Spent:
    """Hours by what they went to."""

    search: Hours = dataclasses.field(default_factory=Hours)
    confirm: Hours = dataclasses.field(default_factory=Hours)
    failed: Hours = dataclasses.field(default_factory=Hours)

    @property
    def total(self) -> Hours:
        """All of them."""
        return self.search + self.confirm + self.failed


def spent(header: StudyHeader, runs: Iterable[Run]) -> Spent:
    """The hours that runs took; a trial that several of them mean counts once, by the one that has most of it."""
    shares = {arm.name: arm.gpus for arm in header.arms}
    sums: dict[Spending, Hours] = {"search": Hours(), "confirm": Hours(), "failed": Hours()}
    for run in longest(runs).values():
        if run.record is not None:
            sums[went_to(run)] += hours_of(run.record, run.reports, shares.get(run.ask.arm, 1.0))
    return Spent(**sums)


def longest(runs: Iterable[Run]) -> dict[str, Run]:
    """The run that has most of each trial, by its id: one arm may stop what another trains to its end."""
    found: dict[str, Run] = {}
    for run in runs:
        known = found.setdefault(run.ask.trial.id, run)
        if len(run.reports) > len(known.reports):
            found[run.ask.trial.id] = run
    return found


def went_to(run: Run) -> Spending:
    """What a run's hours went to."""
    phase: Phase = run.ask.phase
    return "failed" if run.state == "failed" else phase


def hours_of(record: Record, reports: Iterable[Report], share: float) -> Hours:
    """The hours of some of a record's reports; of a GPU they count by a trial's share of it."""
    gpu = cpu = 0.0
    for report in reports:
        if device_of(report, record.provenance) == CPU:
            cpu += report.seconds / 3600 * record.trial.threads
        else:
            gpu += report.seconds / 3600 * share
    return Hours(gpu, cpu)


def device_of(report: Report, provenance: Mapping[str, str]) -> str:
    """The device that a report came from; version 0.1.0 wrote it down once for a trial."""
    return report.device or provenance.get("device", CPU)
