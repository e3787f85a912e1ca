"""The append-only store of what trials left behind: the source of truth, on disk, flushed at every report.

    results/trials/<trial id>/record.jsonl   one line for the trial, one per report, one when it completed or failed
    results/<study>/journal.jsonl            what the study decided, in order: its header, the trials that it asked for,
                                             their arrivals at rungs, their ends; and lost workers

A report that is written twice changes nothing: reports are keyed by their step, and the first of a step counts. Of the
ends of a trial the last counts, since a failed trial may be tried again. That a search stopped a trial concerns the
study alone, and only its journal says so: another study may want all the trial's steps.

Both files lie in the results folder, or under the same names in a bucket. Every line carries a checksum, and counts as
written when its newline is. A damaged line is named and left out; reports behind the gap that it leaves are left out
too, until the trial has filled it.
"""

import dataclasses
import io
import itertools
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from platform.records.record import ArmHeader, Arrival, Ask, End, Journal, Record, Report, StudyHeader
from platform.records.storage.files import write_whole
from platform.records.storage.storage import Folder, Storage
from platform.records.trial import Trial

RECORD = "record.jsonl"
CHECKPOINT = "checkpoint.pt"
PREDICTIONS = "prediction.npz"
"""Files of a trial's folder: its record; weights; images, truth and prediction of a few test images."""
JOURNAL = "journal.jsonl"
"""File of a study's folder."""
CHECKSUM = re.compile(rb', "crc32": "([0-9a-f]{8})"}$')


@dataclasses.dataclass(frozen=True, order=True)
class Damage:
    """A line that cannot be read."""

    file: str
    line: int
    """Counted from 1."""
    what: str

    def __str__(self) -> str:
        return f"{self.file} line {self.line} is {self.what}"


class Store:
    """The results: the driver of a study writes the records, workers what else their trials leave.

    Locks, logs and tables, which only this machine needs, lie in `folder`; so do records and checkpoints, unless a
    storage is given that all nodes see.
    """

    def __init__(self, folder: Path, storage: Storage | None = None) -> None:
        self.folder = folder
        self.storage: Storage = storage or Folder(folder)
        self.shared = storage is not None
        """Whether records and checkpoints lie in a storage that all nodes see, not in `folder`."""
        self.damages: set[Damage] = set()
        """Damaged lines that were found while reading."""

    def trial_folder(self, trial_id: str) -> Path:
        """A trial's folder on this machine."""
        return self.folder / "trials" / trial_id

    def study_folder(self, study: str) -> Path:
        """A study's folder on this machine."""
        return self.folder / study

    def studies(self) -> list[str]:
        """The names of the studies that have a journal here."""
        return [name for name in self.storage.names("") if JOURNAL in self.storage.names(name)]

    def fetched(self, trial_id: str, name: str) -> Path:
        """The path at which a file of a trial lies on this machine, if there is one. Raises OSError."""
        path, file = self.trial_folder(trial_id) / name, trial_file(trial_id, name)
        if self.shared:
            with suppress(FileNotFoundError):
                if not path.exists() or path.stat().st_mtime < self.storage.modified(file):
                    write_whole(path, self.storage.read(file))
        return path

    def publish(self, study: str, files: Iterable[Path]) -> None:
        """Copy files of a study's folder on this machine to where its records lie. Raises OSError."""
        if self.shared:
            for file in files:
                self.storage.write(f"{study}/{file.name}", file.read_bytes())

    def begin(self, record: Record) -> None:
        """Write the first line of a trial's record."""
        first = {"trial": record.trial, "provenance": record.provenance, "cost": record.cost}
        self._append(trial_file(record.trial.id, RECORD), "trial", {**first, "trial": dataclasses.asdict(record.trial)})

    def report(self, trial_id: str, report: Report) -> None:
        """Append a report to a trial's record."""
        # Not by asdict, which copies 400 counts per split one by one.
        self._append(trial_file(trial_id, RECORD), "report", vars(report))

    def end(self, trial_id: str, end: End) -> None:
        """Append to a trial's record how it ended."""
        self._append(trial_file(trial_id, RECORD), "end", vars(end))

    def announce(self, header: StudyHeader) -> None:
        """Append the study's header to its journal; the last one counts."""
        self._append(journal_file(header.name), "study", dataclasses.asdict(header))

    def ask(self, study: str, ask: Ask) -> None:
        """Append an asked trial to the study's journal."""
        self._append(journal_file(study), "ask", dataclasses.asdict(ask))

    def arrive(self, study: str, arrival: Arrival) -> None:
        """Append a trial's arrival at a rung to the study's journal."""
        self._append(journal_file(study), "rung", vars(arrival))

    def lose(self, study: str, trial_id: str, step: int) -> None:
        """Append to the study's journal that a trial lost its worker after a step."""
        self._append(journal_file(study), "loss", {"trial": trial_id, "step": step})

    def conclude(self, study: str, trial_id: str, end: End) -> None:
        """Append to the study's journal how a trial ended for it."""
        self._append(journal_file(study), "end", {"trial": trial_id, "end": vars(end)})

    def journal(self, study: str) -> Journal:
        """What a study decided so far."""
        header: StudyHeader | None = None
        asks: list[Ask] = []
        arrivals: list[Arrival] = []
        ends: dict[str, End] = {}
        losses: Counter[str] = Counter()
        for event, values in self._lines(journal_file(study)):
            if event == "study":
                arms = tuple(ArmHeader(**arm) for arm in values["arms"])
                header = StudyHeader(**{**values, "arms": arms, "rungs": tuple(values["rungs"])})
            elif event == "ask":
                asks.append(Ask(**{**values, "trial": Trial(**values["trial"])}))
            elif event == "rung":
                arrivals.append(Arrival(**values))
            elif event == "loss":
                losses[values["trial"]] += 1
            else:
                ends.pop(values["trial"], None)
                ends[values["trial"]] = End(**values["end"])
        return Journal(header, tuple(asks), tuple(arrivals), ends, losses)

    def read(self, trial_id: str) -> Record | None:
        """The record of a trial, None when there is none."""
        record: Record | None = None
        reports: dict[int, Report] = {}
        end: End | None = None
        for event, values in self._lines(trial_file(trial_id, RECORD)):
            if event == "trial":
                record = record or Record(Trial(**values["trial"]), values["provenance"], values["cost"])
            elif event == "report":
                reports.setdefault(values["step"], Report(**values))
            else:
                end = End(**values)
        if record is None:
            return None
        steps = itertools.takewhile(reports.__contains__, record.trial.evaluated_steps)
        record = dataclasses.replace(record, reports=tuple(reports[step] for step in steps))
        known = end is not None and end.step <= record.step
        return dataclasses.replace(record, end=end if known else None)

    def _append(self, name: str, event: str, values: dict[str, Any]) -> None:
        body = json.dumps({"event": event, **values}, allow_nan=False).encode()
        self.storage.append(name, b'%s, "crc32": "%08x"}' % (body[:-1], zlib.crc32(body)))

    def _lines(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            content = self.storage.read(name)
        except FileNotFoundError:
            return
        # By newlines alone: `splitlines` would also split at a byte that was flipped to a carriage return.
        for number, line in enumerate(io.BytesIO(content), start=1):
            values = _checked(line)
            if values is None:
                what = "damaged" if line.endswith(b"\n") else "cut off"
                self.damages.add(Damage(f"{self.storage}/{name}", number, what))
            else:
                yield values.pop("event"), values


def trial_file(trial_id: str, name: str) -> str:
    """A file of a trial's folder, as storages name it."""
    return f"trials/{trial_id}/{name}"


def journal_file(study: str) -> str:
    """A study's journal, as storages name it."""
    return f"{study}/{JOURNAL}"


def _checked(line: bytes) -> dict[str, Any] | None:
    """The values of a line, None unless it is whole and as it was written."""
    checksum = CHECKSUM.search(line.removesuffix(b"\n"))
    if checksum is None or not line.endswith(b"\n"):
        return None
    body = line[: checksum.start()] + b"}"
    if zlib.crc32(body) != int(checksum[1], 16):
        return None
    values: dict[str, Any] = json.loads(body)
    return values
