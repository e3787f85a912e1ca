"""The append-only store of what trials left behind: the source of truth, on disk, flushed at every report.

    results/trials/<trial id>/record.jsonl   one line for the trial, one per report, one when it completed or failed
    results/trials/<trial id>/evidence-<step>.npz
                                             what selectors are computed from, one per report
    results/<study>/journal.jsonl            what the study decided, in order: its header, the trials that it asked for,
                                             their ends; lost workers; and what its selector makes of trials

A report that is written twice changes nothing: reports are keyed by their step, and the first of a step counts. Of the
ends of a trial the last counts, since a failed trial may be tried again. That a search stopped a trial concerns the
study alone, and only its journal says so: another study may want all the trial's steps.

Both files lie in the results folder, or under the same names in a bucket. Every line says whose it is and carries a
checksum, and counts as written when its newline is. A line that is damaged, another trial's or study's, or of no kind
that this version knows is named and left out; reports behind the gap that it leaves are left out too, until the trial
has filled it.
"""

import dataclasses
import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform.records.plain import check_name
from platform.records.record import Ask, End, Journal, Key, Record, Report, Score, StudyHeader
from platform.records.storage.files import write_whole
from platform.records.storage.lines import Newer, Unreadable, owner_of, read, written
from platform.records.storage.plausible import plausible
from platform.records.storage.storage import Folder, Storage
from platform.records.trial import Trial

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RECORD = "record.jsonl"
CHECKPOINT = "checkpoint.pt"
PREDICTIONS = "prediction.npz"
"""Files of a trial's folder: its record; weights; images, truth and prediction of a few test images."""
JOURNAL = "journal.jsonl"
"""File of a study's folder."""
RESERVED = {"trials", "set-aside"}
"""Folders of the results beside those of the studies."""
LONGEST_STUDY_NAME = 255
"""Bytes that a folder's name may have."""


@dataclasses.dataclass(frozen=True)
class Begun:
    """How a trial's record begins; fields as in `Record`."""

    trial: Trial
    provenance: dict[str, str]
    cost: dict[str, int | float]


@dataclasses.dataclass(frozen=True)
class Loss:
    """A trial lost its worker after a step."""

    trial: str
    step: int


@dataclasses.dataclass(frozen=True)
class Conclusion:
    """How a trial ended for an arm of a study."""

    trial: str
    end: End
    arm: str = ""
    """Empty in lines of before version 0.2: for every arm that asked for it."""


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A trial's arrival at a rung, which decided something before version 0.2."""

    arm: str
    trial: str
    step: int
    value: float


RECORD_LINES = {"trial": Begun, "report": Report, "end": End}
JOURNAL_LINES = {"study": StudyHeader, "ask": Ask, "rung": Arrival, "loss": Loss, "score": Score, "end": Conclusion}
"""What lines hold, by their events."""


@dataclasses.dataclass(frozen=True, order=True)
class Damage:
    """A line that does not count."""

    file: str
    line: int
    """Counted from 1."""
    what: str
    newer: bool = False
    """Whether a newer version wrote it, which knows more."""

    def __str__(self) -> str:
        return f"{self.file} line {self.line} is {self.what}"


def in_words(damages: Iterable[Damage], shown: Callable[[str], str] = str) -> list[str]:
    """One text for the lines of a file that follow each other and have the same said of them."""
    texts: list[str] = []
    numbered = enumerate(sorted(damages))
    for (file, what, _), group in itertools.groupby(
        numbered, lambda each: (each[1].file, each[1].what, each[1].line - each[0])
    ):
        lines = [damage.line for _, damage in group]
        which = f"line {lines[0]} is" if len(lines) == 1 else f"lines {lines[0]} to {lines[-1]} are"
        texts.append(f"{shown(file)} {which} {what}")
    return texts


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
        """Lines that were found while reading and do not count."""

    def trial_folder(self, trial_id: str) -> Path:
        """A trial's folder on this machine."""
        return self.folder / "trials" / trial_id

    def study_folder(self, study: str) -> Path:
        """A study's folder on this machine."""
        return self.folder / study

    def studies(self) -> list[str]:
        """The names of the studies that have a journal here; a folder that no study can have made does not count."""
        names = (name for name in self.storage.names("") if is_study_name(name))
        return [name for name in names if JOURNAL in self.storage.names(name)]

    def fetched(self, trial_id: str, name: str) -> Path:
        """The path at which a file of a trial lies on this machine, if there is one. Raises OSError."""
        path, file = self.trial_folder(trial_id) / name, trial_file(trial_id, name)
        if self.shared:
            with suppress(FileNotFoundError):
                if not path.exists() or path.stat().st_mtime < self.storage.modified(file):
                    write_whole(path, self.storage.read(file))
        return path

    def published(self, study: str, suffixes: Set[str]) -> Path:
        """A study's folder on this machine, with the published files of these suffixes. Raises OSError."""
        folder = self.study_folder(study)
        if self.shared:
            for name in self.storage.names(study):
                if Path(name).suffix in suffixes:
                    write_whole(folder / name, self.storage.read(f"{study}/{name}"))
        return folder

    def publish(self, study: str, files: Iterable[Path]) -> None:
        """Copy files of a study's folder on this machine to where its records lie. Raises OSError."""
        if self.shared:
            for file in files:
                self.storage.write(f"{study}/{file.name}", file.read_bytes())

    def begin(self, record: Record) -> None:
        """Write the first line of a trial's record."""
        self._append(record.trial.id, "trial", Begun(record.trial, record.provenance, record.cost))

    def report(self, trial_id: str, report: Report) -> None:
        """Append a report to a trial's record."""
        self._append(trial_id, "report", report)

    def end(self, trial_id: str, end: End) -> None:
        """Append to a trial's record how it ended."""
        self._append(trial_id, "end", end)

    def announce(self, header: StudyHeader) -> None:
        """Append the study's header to its journal; the last one counts."""
        self._enter(header.name, "study", header)

    def ask(self, study: str, ask: Ask) -> None:
        """Append an asked trial to the study's journal."""
        self._enter(study, "ask", ask)

    def score(self, study: str, score: Score) -> None:
        """Append to the study's journal what its selector makes of a trial."""
        self._enter(study, "score", score)

    def evidence(self, trial_id: str, step: int) -> bytes:
        """The file of a trial's evidence at an evaluation. Raises FileNotFoundError, and OSError."""
        return self.storage.read(trial_file(trial_id, evidence_file(step)))

    def lose(self, study: str, trial_id: str, step: int) -> None:
        """Append to the study's journal that a trial lost its worker after a step."""
        self._enter(study, "loss", Loss(trial_id, step))

    def conclude(self, study: str, key: Key, end: End) -> None:
        """Append to the study's journal how a trial ended for an arm."""
        arm, trial_id = key
        self._enter(study, "end", Conclusion(trial_id, end, arm))

    def journal(self, study: str) -> Journal:
        """What a study decided so far."""
        header: StudyHeader | None = None
        asks: list[Ask] = []
        ends: dict[Key, End] = {}
        losses: Counter[str] = Counter()
        scores: dict[str, dict[str, dict[int, dict[str, float]]]] = {}
        for values in self._lines(journal_file(study), study, JOURNAL_LINES):
            match values:
                case StudyHeader():
                    header = values
                case Ask():
                    asks.append(values)
                case Loss(trial):
                    losses[trial] += 1
                case Score(arm, trial, step, select, value):
                    scores.setdefault(arm, {}).setdefault(trial, {}).setdefault(step, {})[select] = value
                case Conclusion(trial, end, arm):
                    for key in [(arm, trial)] if arm else {ask.key: None for ask in asks if ask.trial.id == trial}:
                        ends.pop(key, None)
                        ends[key] = end
        return Journal(header, tuple(asks), ends, losses, scores)

    def owner(self, study: str) -> str | None:
        """The study that the journal in a study's folder was begun for; None where its first line does not say."""
        return owner_of(self.storage.read(journal_file(study)).partition(b"\n")[0])

    def read(self, trial_id: str) -> Record | None:
        """The record of a trial, None when there is none."""
        record: Record | None = None
        reports: dict[int, Report] = {}
        end: End | None = None
        for values in self._lines(trial_file(trial_id, RECORD), trial_id, RECORD_LINES):
            match values:
                case Begun(trial, provenance, cost):
                    record = record or Record(trial, provenance, cost)
                case Report(step):
                    reports.setdefault(step, values)
                case End():
                    end = values
        if record is None:
            return None
        steps = itertools.takewhile(reports.__contains__, record.trial.evaluated_steps)
        record = dataclasses.replace(record, reports=tuple(reports[step] for step in steps))
        known = end is not None and end.step <= record.step
        return dataclasses.replace(record, end=end if known else None)

    def _append(self, trial_id: str, event: str, values: "DataclassInstance") -> None:
        self.storage.append(trial_file(trial_id, RECORD), written(trial_id, event, values))

    def _enter(self, study: str, event: str, values: "DataclassInstance") -> None:
        self.storage.append(journal_file(study), written(study, event, values))

    def _lines(self, name: str, owner: str, kinds: Mapping[str, type]) -> list[Any]:
        """What the lines of its owner's file hold; the others are noted as damages."""
        try:
            content = self.storage.read(name)
        except FileNotFoundError:
            return []
        file, found = f"{self.storage}/{name}", list[tuple[int, str | None, Any]]()
        # By newlines alone: `splitlines` would also split at a byte that was flipped to a carriage return.
        for number, text in enumerate(io.BytesIO(content), start=1):
            try:
                line = read(text, owner)
                found.append((number, line.of, plausible(line.understood(kinds))))
            except Unreadable as error:
                self.damages.add(Damage(file, number, str(error), isinstance(error, Newer)))
        # Lines of the first format do not say whose they are, but the file that they were written to does.
        stranger = next((_subject(values) for _, of, values in found if _subject(values) not in (None, owner)), None)
        kept = []
        for number, of, values in found:
            if stranger is None or (of == owner and _subject(values) != stranger):
                kept.append(values)
            else:
                self.damages.add(Damage(file, number, f"of {stranger!r}"))
        return kept


def _subject(values: object) -> str | None:
    """The trial or study that a line is about which begins a file; None for any other line."""
    match values:
        case Begun(trial):
            return trial.id
        case StudyHeader(name):
            return name
    return None


def check_study_name(name: str) -> None:
    """Raise ValueError for a name that is a part of a path, hidden, taken, or cannot be shown."""
    check_name("a study's name", name, LONGEST_STUDY_NAME)
    if name.startswith(".") or "/" in name or "\\" in name:
        raise ValueError(f"a study's name must neither begin with a dot nor be a path, got {name!r}; name the study")
    if name.lower() in RESERVED:
        raise ValueError(f"a study must not be named {name!r}, a folder of the results; name the study")


def is_study_name(name: str) -> bool:
    """Whether a study may be named so."""
    try:
        check_study_name(name)
    except ValueError:
        return False
    return True


def trial_file(trial_id: str, name: str) -> str:
    """A file of a trial's folder, as storages name it."""
    return f"trials/{trial_id}/{name}"


def evidence_file(step: int) -> str:
    """The file of a trial's folder that holds the evidence of an evaluation."""
    return f"evidence-{step}.npz"


def journal_file(study: str) -> str:
    """A study's journal, as storages name it."""
    return f"{study}/{JOURNAL}"
