"""Studies in a store whose evidence holds a number of the test's, which selectors of the test's read."""

import functools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from platform.records.record import TARGET_TEST, Ask, Confusion, Record, StudyHeader
from platform.records.store import Store, evidence_file
from platform.scores.evidence import Evidence, saved
from platform.scores.selectors.selector import Selector
from platform.search.judge import EvidenceJudge
from tests.support.made_evidence import evidence

Marks = Callable[[Ask, int], int | None]
"""The number that a trial's evidence holds at a step, None where it leaves none."""


@dataclass(frozen=True, kw_only=True)
class Mark(Selector):
    """The number."""

    name: ClassVar[str] = "own/mark"

    def score(self, evidence: Evidence) -> float:
        return float(evidence.target.places)


@dataclass(frozen=True, kw_only=True)
class Middle(Selector):
    """How near the number is to the median of all candidates'."""

    name: ClassVar[str] = "own/middle"

    def scores(self, candidates: Sequence[Evidence]) -> list[float]:
        marks = [float(each.target.places) for each in candidates]
        return [-abs(mark - statistics.median(marks)) for mark in marks]


@dataclass(frozen=True, kw_only=True)
class Company(Selector):
    """How many candidates there are."""

    name: ClassVar[str] = "own/company"

    def scores(self, candidates: Sequence[Evidence]) -> list[float]:
        return [float(len(candidates))] * len(candidates)


def marked(mark: int) -> Evidence:
    """Evidence that holds a number, and is that of random predictions otherwise."""
    made = _made()
    return replace(made, target=replace(made.target, places=np.asarray(mark, np.int64)))


_made = functools.cache(evidence)


def judge(store: Store, selector: Selector | None = None) -> EvidenceJudge:
    """A judge by the number, or by another selector."""
    selector = Mark() if selector is None else selector
    return EvidenceJudge(selector, selector.name, store)


def written(
    folder: Path, header: StudyHeader, asks: Iterable[Ask], records: Mapping[str, Record], marks: Marks
) -> Store:
    """A store with a study's journal, its trials' records, and evidence of every report."""
    store = Store(folder)
    store.announce(header)
    for ask in asks:
        store.ask(header.name, ask)
        leave(store, ask, records[ask.trial.id], marks)
        if (end := records[ask.trial.id].end) is not None:
            store.conclude(header.name, ask.key, end)
    return store


def leave(store: Store, ask: Ask, record: Record, marks: Marks) -> None:
    """Write a trial's record and evidence, which no study need have asked for."""
    if store.read(ask.trial.id) is not None:
        return
    store.begin(record)
    for report in record.reports:
        store.report(ask.trial.id, report)
        if (mark := marks(ask, report.step)) is not None:
            (store.trial_folder(ask.trial.id) / evidence_file(report.step)).write_bytes(saved(marked(mark)))
    if record.end is not None and record.end.state != "stopped":
        store.end(ask.trial.id, record.end)


def with_tests(record: Record, mious: Sequence[float], metrics: Mapping[str, Sequence[float]] | None = None) -> Record:
    """A record whose reports have these mIoUs on the test split, and these metrics, evaluation by evaluation."""
    reports = []
    for number, report in enumerate(record.reports):
        values = {name: listed[number] for name, listed in (metrics or {}).items()}
        confusions = report.confusions | {TARGET_TEST: confusion_of(mious[number])}
        reports.append(replace(report, metrics=report.metrics | values, confusions=confusions))
    return replace(record, reports=tuple(reports))


def confusion_of(*ious: float) -> Confusion:
    """A matrix in which each class has this IoU, a multiple of 0.001; of two, every other class has the second.

    Of the 1,000 pixels of a class, all that are not right are taken for void.
    """
    counts = np.zeros((20, 20), np.int64)
    for label in range(19):
        iou = ious[label % len(ious)]
        counts[label, label], counts[label, 19] = round(1000 * iou), round(1000 * (1 - iou))
    matrix: Confusion = counts.tolist()
    return matrix
