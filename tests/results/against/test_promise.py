"""The promise that an id decides the numbers, held against trials that are on record twice."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from platform.records.record import Record, Report
from platform.results.against.promise import parting, promise
from tests.support import invented_study as invented


def record(**changes: Any) -> Record:
    """A trial of four reports on a CPU of a known kind."""
    made = invented.record(invented.ask(invented.HEADER, "FDA", "confirm", 0))
    noted = {"device": "cpu", "precision": "float32"} | changes
    reports = tuple(replace(report, **noted) for report in made.reports)
    return replace(made, reports=reports, provenance={"processor": "a, 2 cores", "torch": "2.9.0"})


def with_report(made: Record, position: int, change: Callable[[Report], Report]) -> Record:
    reports = [*made.reports]
    reports[position] = change(reports[position])
    return replace(made, reports=tuple(reports))


def metric(name: str, value: float) -> Callable[[Report], Report]:
    return lambda report: replace(report, metrics=report.metrics | {name: value})


def of(one: Record, two: Record) -> Any:
    return promise({one.trial.id: one}, {two.trial.id: two})


def test_equal_records_keep_it_whatever_they_took() -> None:
    other = replace(record(seconds=99.0, node="elsewhere", latency=0.5), provenance={"processor": "a, 2 cores"})
    found = of(record(), with_report(other, 3, metric("time/evaluating", 5.0)))
    assert (found.trials, found.unequal) == (1, ())


def test_another_number_on_the_same_device_breaks_it_at_its_first_step() -> None:
    other = with_report(with_report(record(), 2, metric("source/miou", 0.25)), 3, metric("source/miou", 0.5))
    (broken,) = of(record(), other).broken
    assert (broken.step, broken.name, broken.other) == (300, "source/miou", "0.25")


def test_another_confusion_breaks_it() -> None:
    def change(report: Report) -> Report:
        counts = [[*line] for line in report.confusions["target/test"]]
        counts[0][0] += 1
        return replace(report, confusions=report.confusions | {"target/test": counts})

    (broken,) = of(record(), with_report(record(), 3, change)).broken
    assert (broken.step, broken.name) == (400, "confusion of target/test")
    assert broken.other == "1 counts are others"


@pytest.mark.parametrize(
    ("changes", "provenance", "excuse"),
    [
        ({"device": "NVIDIA T4, 40 multiprocessors"}, {}, "on another device"),
        ({"device": ""}, {}, "on devices that are not on record"),
        ({"precision": "bfloat16"}, {}, "in another precision"),
        ({"parts": 2}, {}, "with batches in halves, which memory forced"),
        ({}, {"processor": "b, 2 cores"}, "on another processor"),
    ],
)
def test_what_an_id_does_not_know_excuses_other_numbers(
    changes: dict[str, Any], provenance: dict[str, str], excuse: str
) -> None:
    other = with_report(record(**changes), 0, metric("source/miou", 0.25))
    other = replace(other, provenance=other.provenance | provenance)
    found = of(record(), other)
    assert [each.excuse for each in found.unequal] == [excuse]
    assert found.broken == ()
    assert [each.excuse for each in of(other, record()).unequal] == [excuse]


def test_another_processor_is_no_excuse_on_a_gpu() -> None:
    gpu = record(device="NVIDIA T4, 40 multiprocessors")
    other = replace(with_report(gpu, 0, metric("source/miou", 0.25)), provenance={"processor": "b, 2 cores"})
    assert len(of(gpu, other).broken) == 1


def test_what_only_one_side_has_reported_is_no_difference() -> None:
    shorter = replace(record(), reports=record().reports[:2])
    assert of(record(), with_report(shorter, 1, metric("loss/new", 1.0))).unequal == ()
    assert of(record(), replace(record(), reports=())).trials == 0


def test_trials_that_only_one_side_has_do_not_count() -> None:
    other = invented.record(invented.ask(invented.HEADER, "FDA", "confirm", 1))
    assert of(record(), other).trials == 0


def test_two_trials_part_at_the_first_step_that_differs() -> None:
    other = with_report(record(), 1, metric("loss/cross_entropy", 2.5))
    found = parting(record(), other)
    assert found is not None
    assert (found[0], found[1], found[3]) == (200, "loss/cross_entropy", "2.5")
    assert parting(record(), record()) is None
