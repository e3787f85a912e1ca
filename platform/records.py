"""The append-only store of what trials left behind: the source of truth, on disk, flushed at every report.

    results/trials/<trial id>/record.jsonl   one line for the trial, one per report, one for its end
    results/<study>/asked.jsonl              one line for the study's header, one per trial that it asked for, in order,
                                             one per trial that its search stopped

A report that is written twice changes nothing: reports are keyed by their step, and the first of a step counts. Of the
ends of a trial the last counts, since a failed trial may be tried again. That a search stopped a trial is the study's
affair and not the trial's: another study may want all its steps.
"""

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from platform.trials import Trial

CHECKPOINT = "checkpoint.pt"
PREDICTIONS = "prediction.npz"
PICTURE = "prediction.png"
"""Files of a trial's folder: weights; images, truth and prediction of a few test images; their picture."""

State = Literal["complete", "stopped", "failed"]
Phase = Literal["search", "confirm"]
Confusion = list[list[int]]
"""20 x 20 counts, row = ground truth, column = prediction, index 19 = void (see `platform.metrics`)."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What a trial says at an evaluation."""

    step: int
    seconds: float
    """Time spent training and evaluating since the previous report."""
    metrics: dict[str, float]
    """By name: `source/miou`, `source/accuracy`, `oracle/miou`, `oracle/accuracy`, `loss/<name>`, `learning_rate`."""
    confusions: dict[str, Confusion]
    """By split: `source/val` and `target/val`; `target/test` in the last report of a confirm trial only."""


@dataclasses.dataclass(frozen=True)
class End:
    """How a trial ended: all its steps, stopped early by a study's search, or failed."""

    state: State
    reason: str
    step: int
    retry: bool = False
    """Whether it failed for a reason outside the trial: running the study again tries it again."""


@dataclasses.dataclass(frozen=True)
class Record:
    """Everything known about one trial."""

    trial: Trial
    provenance: dict[str, str]
    """Host, git commit and versions of what decides the numbers."""
    cost: dict[str, float]
    """The fields of `platform.networks.cost.Cost`, for this trial's networks."""
    reports: tuple[Report, ...] = ()
    end: End | None = None

    @property
    def step(self) -> int:
        """The last reported step, 0 before the first report."""
        return self.reports[-1].step if self.reports else 0

    @property
    def hours(self) -> float:
        """Time spent training and evaluating, in hours."""
        return sum(report.seconds for report in self.reports) / 3600


@dataclasses.dataclass(frozen=True)
class Ask:
    """A trial that a study asked for: the `number`-th of its arm and phase, from 0."""

    arm: str
    phase: Phase
    number: int
    trial: Trial


@dataclasses.dataclass(frozen=True)
class ArmHeader:
    """What the table must know of an arm besides its trials."""

    name: str
    method: str
    supervised: bool
    """Whether the method trains on target labels: an upper bound, not an adaptation."""
    select: str
    """The metric that stops and picks this arm's trials."""
    searched: dict[str, str]
    """The fields that hold ranges, and the ranges, as text."""
    cost: dict[str, float]
    """The fields of `platform.networks.cost.Cost`, at the defaults of what is searched."""


@dataclasses.dataclass(frozen=True)
class StudyHeader:
    """What the table must know of a study besides its trials, so that records alone give the table again."""

    name: str
    question: str
    """The study file's docstring."""
    arms: tuple[ArmHeader, ...]
    reference: str
    select: str
    seeds: int
    """Confirm trials per arm."""
    search_trials: int
    """Search trials of each arm that has ranges."""
    steps: int
    rungs: tuple[int, ...]
    """Steps at which the search may stop a trial."""
    reduction: int
    """One in `reduction` trials goes on at a rung; 0 without a search."""
    shift: dict[str, Any]
    """`Shift.identity()`, with `name`, `size` and `groups`."""
    source: str
    """The study file's text."""


class Store:
    """The folder of results: the driver of a study writes the records, workers what else their trials leave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trial_folder(self, trial_id: str) -> Path:
        """Where a trial's record, checkpoint and pictures lie."""
        return self.folder / "trials" / trial_id

    def study_folder(self, study: str) -> Path:
        """Where a study's asks, table and figures lie."""
        return self.folder / study

    def begin(self, record: Record) -> None:
        """Write the first line of a trial's record."""
        first = {"trial": record.trial, "provenance": record.provenance, "cost": record.cost}
        self._append(self._record(record.trial.id), "trial", {**first, "trial": dataclasses.asdict(record.trial)})

    def report(self, trial_id: str, report: Report) -> None:
        """Append a report and flush it to the disk."""
        self._append(self._record(trial_id), "report", dataclasses.asdict(report))

    def end(self, trial_id: str, end: End) -> None:
        """Append how a trial ended and flush it to the disk."""
        self._append(self._record(trial_id), "end", dataclasses.asdict(end))

    def ask(self, study: str, ask: Ask) -> None:
        """Append an asked trial to the study's list."""
        self._append(self.study_folder(study) / "asked.jsonl", "ask", dataclasses.asdict(ask))

    def announce(self, header: StudyHeader) -> None:
        """Append the study's header; the last one counts."""
        self._append(self.study_folder(header.name) / "asked.jsonl", "study", dataclasses.asdict(header))

    def header(self, study: str) -> StudyHeader | None:
        """The study's header, None when the study never ran."""
        header = None
        for event, values in _lines(self.study_folder(study) / "asked.jsonl"):
            if event == "study":
                arms = tuple(ArmHeader(**arm) for arm in values["arms"])
                header = StudyHeader(**{**values, "arms": arms, "rungs": tuple(values["rungs"])})
        return header

    def stop(self, study: str, trial_id: str, end: End) -> None:
        """Append that a study's search stopped a trial."""
        self._append(
            self.study_folder(study) / "asked.jsonl", "stop", {"trial": trial_id, "end": dataclasses.asdict(end)}
        )

    def stopped(self, study: str) -> dict[str, End]:
        """The trials that a study's search stopped, by id."""
        lines = _lines(self.study_folder(study) / "asked.jsonl")
        return {values["trial"]: End(**values["end"]) for event, values in lines if event == "stop"}

    def asked(self, study: str) -> list[Ask]:
        """The trials a study asked for, in order."""
        lines = _lines(self.study_folder(study) / "asked.jsonl")
        asks = [values for event, values in lines if event == "ask"]
        return [Ask(**{**values, "trial": Trial(**values["trial"])}) for values in asks]

    def read(self, trial_id: str) -> Record | None:
        """The record of a trial, None when there is none."""
        record: Record | None = None
        reports: dict[int, Report] = {}
        end: End | None = None
        for event, values in _lines(self._record(trial_id)):
            if event == "trial":
                record = record or Record(Trial(**values["trial"]), values["provenance"], values["cost"])
            elif event == "report":
                reports.setdefault(values["step"], Report(**values))
            else:
                end = End(**values)
        if record is None:
            return None
        return dataclasses.replace(record, reports=tuple(reports[step] for step in sorted(reports)), end=end)

    def _record(self, trial_id: str) -> Path:
        return self.trial_folder(trial_id) / "record.jsonl"

    def _append(self, path: Path, event: str, values: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            # A line torn by a crash is closed first, so that it cannot swallow this one.
            if file.tell() and not _ends_with_newline(path):
                file.write(b"\n")
            file.write(json.dumps({"event": event, **values}, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue  # torn by a crash while it was written: its step is run and reported again
        yield values.pop("event"), values
