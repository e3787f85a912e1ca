"""The promise that a trial's id decides its numbers, held against trials that are on record twice."""

from collections.abc import Mapping
from dataclasses import dataclass

from platform.records.record import CPU, Record, Report
from platform.results.against.mismatches import devices, precisions


@dataclass(frozen=True)
class Unequal:
    """A trial whose two records do not give the same numbers."""

    trial: str
    step: int
    """The first at which they do not."""
    name: str
    """What of the report."""
    this: str
    other: str
    excuse: str
    """What accounts for it, as another device does; empty where nothing does, and the promise is broken."""


@dataclass(frozen=True)
class Promise:
    """What the trials say that both sides have."""

    trials: int
    """With reports at one step or more on both sides."""
    unequal: tuple[Unequal, ...]

    @property
    def broken(self) -> tuple[Unequal, ...]:
        """Those that nothing accounts for."""
        return tuple(each for each in self.unequal if not each.excuse)


def promise(this: Mapping[str, Record], other: Mapping[str, Record]) -> Promise:
    """Compare all numbers of the trials that are in both, as far as both have been trained; times do not count."""
    both = [(this[trial], other[trial]) for trial in this.keys() & other.keys()]
    known = [(one, two) for one, two in both if one.reports and two.reports]
    found = (_unequal(one, two) for one, two in sorted(known, key=lambda pair: pair[0].trial.id))
    return Promise(len(known), tuple(each for each in found if each is not None))


def parting(this: Record, other: Record) -> tuple[int, str, str, str] | None:
    """The first step at which two records' reports differ, and in what; None where they never do."""
    steps = {report.step: report for report in other.reports}
    for report in this.reports:
        if report.step in steps and (found := _first(report, steps[report.step])) is not None:
            return report.step, *found
    return None


def _unequal(this: Record, other: Record) -> Unequal | None:
    found = parting(this, other)
    return None if found is None else Unequal(this.trial.id, *found, _excuse(this, other))


def _first(this: Report, other: Report) -> tuple[str, str, str] | None:
    """The first number that differs, with both values; what an earlier version did not report does not count."""
    for name, value in this.metrics.items():
        if name in other.metrics and value != other.metrics[name] and not name.startswith("time/"):
            return name, repr(value), repr(other.metrics[name])
    for split, confusion in this.confusions.items():
        if split in other.confusions and confusion != other.confusions[split]:
            wrong = sum(
                one != two
                for line, opposite in zip(confusion, other.confusions[split], strict=False)
                for one, two in zip(line, opposite, strict=False)
            )
            return f"confusion of {split}", f"{sum(map(sum, confusion)):,} pixels", f"{wrong} counts are others"
    return None


def _excuse(this: Record, other: Record) -> str:
    """What may change the numbers of a trial besides what its id knows."""
    known = [devices([record]) for record in (this, other)]
    if not all(known):
        return "on devices that are not on record"
    if known[0] != known[1]:
        return "on another device"
    if precisions([this]) != precisions([other]):
        return "in another precision"
    if CPU in known[0] and this.provenance.get("processor") != other.provenance.get("processor"):
        return "on another processor"
    if {report.parts for report in this.reports} != {report.parts for report in other.reports}:
        return "with batches in halves, which memory forced"
    return ""
