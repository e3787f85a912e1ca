"""What records say of a study that venues ask for: machines, versions, hours of one result and of all, seeds."""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from platform.records.record import CPU, ArmHeader, Ask, Record, StudyHeader, model_of
from platform.results.aggregation import tabulate
from platform.results.fairness.energy import Energies, energies
from platform.results.fairness.hours import Hours, Spent, device_of, hours_of, longest, spent
from platform.results.runs import Run, ancestors, behind
from platform.results.table import Row, Table


@dataclasses.dataclass(frozen=True)
class Result:
    """What one row cost."""

    row: Row
    one: Hours
    """Of one scored run, and of the runs of other rows that it begins from: the mean over its complete runs."""
    whole: Spent
    """Of all that the row asked for, also before its study was changed."""
    behind: Hours
    """Of all that its score rests on, trials of other rows among them, as in `platform.results.runs.Behind`."""
    trials: int
    """Distinct trials behind this."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """A study as its records have it."""

    header: StudyHeader
    table: Table
    results: tuple[Result, ...]
    """By row, in the study's order."""
    spent: Spent
    """Hours of all trials, each once."""
    used: Energies
    besides: float
    """Hours besides, in which workers took trials up and left checkpoints."""
    evaluating: float
    """Of the hours, on whatever device, those of evaluations."""
    trials: int
    failed: int
    halved: int
    """Distinct trials; those that failed, and those that went on in halves once memory had run out."""
    configurations: int
    """Distinct configurations that searches tried."""
    machines: dict[str, int]
    """Processors, and memory where it was noted, of the machines that drove the study, and how many were alike."""
    nodes: int
    """Machines that trials were trained on; 0 where that was not noted."""
    gpus: dict[str, int]
    """Models of GPUs that trials were trained on, and how many trials each."""
    threads: tuple[int, ...]
    """Of a trial."""
    precisions: tuple[str, ...]
    versions: dict[str, tuple[str, ...]]
    commits: tuple[str, ...]
    batches: tuple[int, ...]
    """Images of one domain in a step of runs that count."""
    until: str
    """The day of the last report, in UTC: `2026-05-31`; empty where none says when it was."""

    @property
    def missing(self) -> list[str]:
        """Rows whose scores lack seeds, which is what an interrupted study lacks."""
        return [row.arm for row in self.table.rows if row.troubles.seeds_missing]


VERSIONS = {"python": "Python", "torch": "PyTorch", "ray": "Ray", "optuna": "Optuna", "platform_version": "platform"}
"""What records note of software, and what it is called."""


def facts(
    header: StudyHeader, asks: Sequence[Ask], every: Sequence[Ask], records: Mapping[str, Mapping[str, Record]]
) -> Facts:
    """The facts of a study: `asks` make its table, `every` is all that it ever asked for; records by arm and id."""
    table = tabulate(header, asks, records)
    runs = [Run(ask, records.get(ask.arm, {}).get(ask.trial.id)) for ask in every]
    known = list(longest(run for run in runs if run.record).values())
    kept = [(run, run.record) for run in known if run.record]
    noted = {(record.provenance.get("host", ""), _machine(record)) for _, record in kept}
    counted = [record for each in table.runs.values() for run in each.confirm if (record := run.record)]
    devices = [(record.trial.id, model_of(name)) for run, record in kept for name in _devices(run, record)]
    reports = [report for run, _ in kept for report in run.reports]
    return Facts(
        header=table.header,
        table=table,
        results=tuple(_result(header, arm, table, runs) for arm in table.header.arms),
        spent=spent(header, known),
        used=energies(known),
        evaluating=sum(report.evaluating for report in reports) / 3600,
        halved=sum(any(report.parts > 1 for report in run.reports) for run in known),
        besides=sum(report.starting + report.saving for report in reports) / 3600,
        trials=len(known),
        failed=sum(run.state == "failed" for run in known),
        configurations=len({run.ask.trial.configuration for run in known if run.ask.phase == "search"}),
        machines=_counted(machine for _, machine in noted if machine),
        nodes=len({report.node for report in reports} - {""}),
        gpus=_counted(model for _, model in set(devices) if model != CPU),
        threads=tuple(sorted({record.trial.threads for _, record in kept})),
        precisions=tuple(sorted({report.precision for report in reports if report.precision})),
        versions={
            name: found
            for name in VERSIONS
            if (found := tuple(sorted({record.provenance.get(name, "") for _, record in kept} - {""})))
        },
        commits=tuple(sorted({record.provenance.get("git_commit", "") for _, record in kept} - {""})),
        batches=tuple(sorted({batch for record in counted if type(batch := record.trial.recipe.get("batch")) is int})),
        until=_day(max((report.metered[1] for report in reports), default=0.0)),
    )


def _machine(record: Record) -> str:
    """`AMD EPYC 7B13, 8 cores, 31 GiB`."""
    said = (record.provenance.get("processor", ""), record.provenance.get("memory", ""))
    return ", ".join(filter(None, said))


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat() if moment else ""


def _devices(run: Run, record: Record) -> set[str]:
    return {device_of(report, record.provenance) for report in run.reports}


def _counted(values: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in sorted(values):
        found[value] = found.get(value, 0) + 1
    return found


def _result(header: StudyHeader, arm: ArmHeader, table: Table, runs: Sequence[Run]) -> Result:
    own, rests = [run for run in runs if run.ask.arm == arm.name], behind(header, arm)
    one = Hours()
    for each in table.header.arms:
        if each.name == arm.name or each.name in ancestors(header, arm):
            one += _mean(_of_complete(each, table))
    return Result(
        row=next(row for row in table.rows if row.arm == arm.name),
        one=one,
        whole=spent(header, own),
        behind=spent(header, filter(rests.holds, runs)).total,
        trials=len({run.ask.trial.id for run in own if run.record}),
    )


def _of_complete(arm: ArmHeader, table: Table) -> list[Hours]:
    runs = [run for run in table.runs[arm.name].confirm if run.state == "complete"]
    return [hours_of(run.record, run.reports, arm.gpus) for run in runs if run.record]


def _mean(hours: Sequence[Hours]) -> Hours:
    if not hours:
        return Hours()
    return Hours(statistics.fmean(each.gpu for each in hours), statistics.fmean(each.cpu for each in hours))
