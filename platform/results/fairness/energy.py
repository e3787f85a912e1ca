"""Energy that meters counted: each trial's share of what its machine used, by phase.

A report holds what the meters of its machine counted from a to b, whatever else the machine did. Of n(t) trials of the
study that a meter counts for at a time, each has the n(t)-th part:

    share = joules / (b - a) * integral from a to b of dt / n(t)

so that joules which several trials have on record count once. Within a report a meter's power counts as constant.
"""

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from platform.records.record import CPU, JOULES_OF_KWH
from platform.results.fairness.hours import Spending, device_of, longest, went_to
from platform.results.runs import Run

GPU = "GPU"
"""How the name of a GPU's meter begins; others are of processors."""


class Interval(NamedTuple):
    """What one meter of one machine counted for a report."""

    begin: float
    end: float
    joules: float
    spending: Spending


@dataclasses.dataclass(frozen=True)
class Energy:
    """kWh that meters of one kind counted, by what they went to, and how much of the time they were read."""

    search: float
    """nan where nothing was measured; so are the others."""
    confirm: float
    failed: float
    measured: float
    """The fraction of the training and evaluating that reports tell of in which a meter of this kind was read."""

    @property
    def total(self) -> float:
        """All of them."""
        return self.search + self.confirm + self.failed


UNMEASURED = Energy(math.nan, math.nan, math.nan, 0.0)


@dataclasses.dataclass(frozen=True)
class Energies:
    """What processors used, and what GPUs did that trials were trained on."""

    processors: Energy
    gpus: Energy


def energies(runs: Iterable[Run]) -> Energies:
    """What runs used; a trial that several of them mean counts once."""
    found: dict[str, dict[tuple[str, str], list[Interval]]] = {
        "processors": defaultdict(list),
        "gpus": defaultdict(list),
    }
    seconds, metered = {"processors": 0.0, "gpus": 0.0}, {"processors": 0.0, "gpus": 0.0}
    for run in longest(runs).values():
        for report in run.reports:
            read = {"gpus" if meter.startswith(GPU) else "processors" for meter in report.energy}
            for meter, joules in report.energy.items():
                kind = "gpus" if meter.startswith(GPU) else "processors"
                found[kind][report.node, meter].append(Interval(*report.metered, joules, went_to(run)))
            on_gpu = run.record is not None and device_of(report, run.record.provenance) != CPU
            for kind in ("processors", "gpus") if on_gpu else ("processors",):
                seconds[kind] += report.seconds
                metered[kind] += report.seconds if kind in read else 0.0
    return Energies(**{kind: _energy(found[kind], metered[kind], seconds[kind]) for kind in found})


def _energy(by_meter: Mapping[tuple[str, str], list[Interval]], metered: float, seconds: float) -> Energy:
    if not by_meter:
        return UNMEASURED
    sums: dict[Spending, float] = {"search": 0.0, "confirm": 0.0, "failed": 0.0}
    for intervals in by_meter.values():
        for interval, joules in zip(intervals, shares(intervals), strict=True):
            sums[interval.spending] += joules / JOULES_OF_KWH
    return Energy(**sums, measured=metered / seconds if seconds else 0.0)


def shares(intervals: list[Interval]) -> list[float]:
    """What of each interval's joules is its own, where several overlap."""
    changes: dict[float, int] = defaultdict(int)
    for interval in intervals:
        changes[interval.begin] += 1
        changes[interval.end] -= 1
    times = sorted(changes)
    alone, running, integral = dict.fromkeys(times[:1], 0.0), 0, 0.0
    for earlier, later in itertools.pairwise(times):
        running += changes[earlier]
        integral += (later - earlier) / running if running else 0.0
        alone[later] = integral
    return [
        interval.joules * (alone[interval.end] - alone[interval.begin]) / (interval.end - interval.begin)
        if interval.end > interval.begin
        else interval.joules
        for interval in intervals
    ]
