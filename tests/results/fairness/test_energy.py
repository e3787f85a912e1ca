"""Joules that several trials have on record count once, and what nothing measured is said to be not measured."""

import dataclasses
import math

import numpy as np
import pytest

from platform.records.record import JOULES_OF_KWH
from platform.results.fairness.energy import Interval, energies, shares
from platform.results.fairness.hours import Hours, Spent
from platform.results.report import markdown
from platform.results.report.sections.fairness import compute, coverage
from platform.results.runs import Run
from tests.support.invented_study import ask, failed, record, study
from tests.support.seen_alike import tabulate
from tests.support.tabulated import two_arms


def by_grid(intervals: list[Interval], per_second: int = 4) -> list[float]:
    """Each interval's own joules, moment by moment; bounds must lie on the grid."""
    end = int(max(interval.end for interval in intervals) * per_second)
    running = np.zeros(end)
    for interval in intervals:
        running[int(interval.begin * per_second) : int(interval.end * per_second)] += 1
    own = []
    for interval in intervals:
        moments = slice(int(interval.begin * per_second), int(interval.end * per_second))
        power = interval.joules / (interval.end - interval.begin)
        own.append(float(np.sum(power / running[moments]) / per_second))
    return own


def test_shares_are_those_of_a_count_moment_by_moment() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        begins = random.integers(0, 200, 12) / 4
        intervals = [
            Interval(begin, begin + random.integers(1, 100) / 4, random.uniform(1, 1000), "search") for begin in begins
        ]
        assert shares(intervals) == pytest.approx(by_grid(intervals))


def test_of_a_machine_of_steady_power_all_shares_are_what_it_used_while_anything_trained() -> None:
    random = np.random.default_rng(1)
    intervals = []
    covered = np.zeros(1000, bool)
    for _ in range(20):
        begin, length = random.integers(0, 900), random.integers(1, 100)
        covered[begin : begin + length] = True
        intervals.append(Interval(float(begin), float(begin + length), 150.0 * length, "search"))
    assert sum(shares(intervals)) == pytest.approx(150.0 * covered.sum())


def test_a_report_that_took_no_time_keeps_what_was_counted() -> None:
    assert shares([Interval(5.0, 5.0, 3.0, "search"), Interval(4.0, 6.0, 10.0, "search")]) == [3.0, 10.0]


def metered_runs() -> list[Run]:
    """Two trials side by side on one machine, the second of which failed, and one alone on another machine."""
    header = study()
    runs = []
    for number, (node, begin) in enumerate((("a", 0.0), ("a", 0.0), ("b", 0.0))):
        each = ask(header, "source only", "search", number)
        known = failed(each, reports=2) if number == 1 else record(each, reports=2)
        reports = tuple(
            dataclasses.replace(
                report,
                node=node,
                device="NVIDIA L4, 58 multiprocessors",
                energy={"processor 0": 360.0, f"GPU {number}": 720.0},
                metered=(begin + 10 * position, begin + 10 * (position + 1)),
            )
            for position, report in enumerate(known.reports)
        )
        runs.append(Run(each, dataclasses.replace(known, reports=reports)))
    return runs


def test_trials_side_by_side_share_a_processor_and_not_a_gpu() -> None:
    used = energies(metered_runs())
    assert used.processors.search == pytest.approx((2 * 360 / 2 + 2 * 360) / JOULES_OF_KWH)
    assert used.processors.failed == pytest.approx(2 * 360 / 2 / JOULES_OF_KWH)
    assert used.gpus.search == pytest.approx(2 * 2 * 720 / JOULES_OF_KWH)
    assert used.gpus.failed == pytest.approx(2 * 720 / JOULES_OF_KWH)
    assert used.processors.confirm == 0
    assert used.gpus.total == pytest.approx(3 * 2 * 720 / JOULES_OF_KWH)
    assert (used.gpus.measured, used.processors.measured) == (1.0, 1.0)


def test_what_part_of_the_time_was_measured_is_said() -> None:
    runs = metered_runs()
    assert runs[0].record is not None
    unread = tuple(dataclasses.replace(report, energy={}) for report in runs[0].record.reports)
    runs[0] = Run(runs[0].ask, dataclasses.replace(runs[0].record, reports=unread))
    used = energies(runs)
    assert used.gpus.measured == pytest.approx(2 / 3)
    assert coverage(used) == "Meters were read in 67% of the time for GPUs and 67% of the time for processors."


def test_what_nothing_measured_is_not_measured_and_no_estimate() -> None:
    header, asks, records = two_arms()
    used = energies(Run(each, records[each.trial.id]) for each in asks)
    assert math.isnan(used.gpus.total)
    assert math.isnan(used.processors.total)
    on_gpu = Spent(search=Hours(gpu=1.0))
    assert [line[3:] for line in compute(on_gpu, used)] == [("not measured", "not measured")] * 4
    assert coverage(used) == ""
    assert markdown.render(tabulate(header, asks, records)).count("| no GPU | not measured |") == 4
