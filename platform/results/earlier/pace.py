"""How fast kinds of machines train, measured from records of earlier trials."""

import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from platform.networks.cost import SIZE
from platform.records.record import CPU, TARGET_TEST, Record, model_of
from platform.records.store import Store

NEWEST = 200
"""Trials of a folder of results that are looked at, the last asked for: reading a thousand takes seconds."""
LEAST_STEPS = 20
"""Trials of fewer steps, as those of a smoke run, say nothing of longer ones: their first steps are most of them."""


class Machine(NamedTuple):
    """A kind of machine."""

    device: str
    """The model of its GPUs, or `CPU`."""
    processor: str = ""
    """`platform.records.provenance.processor` where there is no GPU: of several machines, the driver's."""


class Pace(NamedTuple):
    """Seconds that a trial takes."""

    step: float
    evaluation: float
    """Of a search trial."""
    test: float
    """An evaluation of a confirm trial, which has the test split besides."""
    start: float
    """In which workers that are there took it up: until its first step, and after each wait at a rung."""


class Measured(NamedTuple):
    """What one trial took."""

    machine: Machine
    method: str
    shift: str
    work: float
    """Billions of operations of a step."""
    pixels: int
    """Of an image."""
    confirms: bool
    step: float
    evaluation: float
    start: float


def measured(store: Store) -> list[Measured]:
    """What the newest trials took, in the order asked for, each on one kind of machine."""
    return [found for record in _newest(store) for found in _of(record)]


def pace_of(method: str, shift: str, work: float, pixels: int, trials: Sequence[Measured]) -> Pace | None:
    """The pace of a method's steps of so many billions of operations, from the nearest that was measured.

    Steps are those of the same method where there are any, and evaluations those of the same shift, whose splits have
    as many images; of several, those of the nearest amount of work. What is lacking is in proportion, of steps to their
    operations, and of evaluations to the pixels. None where nothing was measured.
    """
    trials = [each for each in trials if each.work > 0]
    if not trials:
        return None
    trained = _nearest(work, [each for each in trials if each.method == method] or trials)

    def evaluation(confirms: bool) -> float:
        of_kind = [each for each in trials if each.confirms is confirms] or trials
        seen = _nearest(work, [each for each in of_kind if each.shift == shift] or of_kind)
        return statistics.median(each.evaluation * pixels / each.pixels for each in seen)

    return Pace(
        step=statistics.median(each.step * work / each.work for each in trained),
        evaluation=evaluation(confirms=False),
        test=evaluation(confirms=True),
        start=statistics.median(each.start for each in trained),
    )


def _nearest(work: float, trials: Sequence[Measured]) -> list[Measured]:
    distances = [abs(math.log(work / each.work)) if work > 0 else 0.0 for each in trials]
    return [each for each, distance in zip(trials, distances, strict=True) if distance <= min(distances) + 0.01]


def _newest(store: Store) -> Iterator[Record]:
    # What is damaged in other studies' records is nothing to whoever asks.
    store = Store(store.folder, store.storage if store.shared else None)
    journals = []
    with suppress(OSError):
        for study in store.studies():
            with suppress(OSError, ValueError):  # somebody else's, whom nobody waits for
                journals.append(store.journal(study))
    journals = sorted(journals, key=lambda journal: journal.header.began if journal.header else "")
    trials = dict.fromkeys(ask.trial.id for journal in journals for ask in journal.asks)
    for trial in [*trials][-NEWEST:]:
        record = None
        with suppress(OSError, ValueError):
            record = store.read(trial)
        if record is not None:
            yield record


def _of(record: Record) -> Iterator[Measured]:
    """What a trial took; nothing where it is short, on several devices, or of before evaluations were timed."""
    trial, reports = record.trial, [report for report in record.reports if report.evaluating > 0]
    if trial.steps < LEAST_STEPS:
        return
    devices = {report.device for report in reports}
    models = {*map(model_of, devices)}
    # A report of an earlier version names a model alone, and may be followed by one that says more.
    if len(models) != 1 or len(devices - models) > 1:
        return
    (device,) = models
    pixels = math.prod(trial.shift["size"])
    steps = trial.steps / trial.evaluations
    yield Measured(
        machine=Machine(device, record.provenance.get("processor", "") if device == CPU else ""),
        method=trial.method,
        shift=trial.shift["name"],
        work=record.cost.get("step_gflops", 0.0) * trial.recipe.get("batch", 1) * pixels / math.prod(SIZE),
        pixels=pixels,
        confirms=any(TARGET_TEST in report.confusions for report in reports),
        step=statistics.median((report.seconds - report.evaluating) / steps for report in reports),
        evaluation=statistics.median(report.evaluating for report in reports),
        start=sum(report.starting for report in reports),
    )
