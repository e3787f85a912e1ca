"""Messages between the driver and the process that talks to MLflow."""

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from platform.records.record import Ask, Record

Ending = Literal["complete", "interrupted"]


@dataclass(frozen=True)
class Owed:
    """What MLflow is not known to hold yet; false if that is nothing."""

    trials: int
    reports: int
    study: bool = False
    """Whether the study's own run lacks its last status, and its files."""
    files: int = 0
    """Pictures and tables of runs that are there."""

    def __bool__(self) -> bool:
        return self.trials > 0 or self.study or self.files > 0

    def __str__(self) -> str:
        parts = []
        if self.trials:
            trials = many(self.trials, "trial")
            parts.append(f"{trials} with {many(self.reports, 'report')}" if self.reports else trials)
        elif self.study:
            parts.append("the study's files and status")
        if self.files:
            parts.append(many(self.files, "file"))
        return " and ".join(parts) or "nothing"


@dataclass(frozen=True)
class Copy:
    """What MLflow should hold of a trial; of the confusion matrices only the one of the test split."""

    ask: Ask
    record: Record
    times: Mapping[int, int]
    """Times of reports, by step, in milliseconds since 1970 as MLflow counts; that of step 0 is when the trial began.
    Those of an earlier process are missing."""
    at: int
    """When the trial ended, or what else came last."""
    predictions: Path | None
    """The test predictions of a complete confirm trial, if they can be had: its picture is drawn from them."""


@dataclass(frozen=True)
class Closing:
    """The end of a study's own run: its status and time."""

    status: Literal["FINISHED", "KILLED"]
    at: int


@dataclass(frozen=True)
class Files:
    """Files of a run, which wait until all numbers are there: their place may be away when MLflow is not."""

    trial: str = ""
    """Whose picture is drawn from the test predictions in `paths`; none for the study's own run."""
    paths: tuple[Path, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """Contents of further files, by their names."""

    def __len__(self) -> int:
        return len(self.paths) + len(self.texts)

    def only(self, names: Collection[str]) -> "Files":
        """Those of some names."""
        paths = tuple(path for path in self.paths if path.name in names)
        return Files(self.trial, paths, {name: text for name, text in self.texts.items() if name in names})


@dataclass(frozen=True)
class Answer:
    """Outcome of a request."""

    held: tuple[str, ...] = ()
    """Ids of trials that MLflow holds as they were sent."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why MLflow did not take a trial, or not all of it, though it took others."""
    away: str = ""
    """Why MLflow could not be used, or is no longer the one it was: connect again before anything else."""
    steps: Mapping[str, int] = field(default_factory=dict)
    """The last reported step of each trial that was there when this process connected, or of which it holds now all but
    what it refused."""
    pictures: tuple[str, ...] = ()
    """Ids of trials whose runs lack nothing but their picture and what was refused."""
    lacking: tuple[str, ...] = ()
    """Names of files that could not be stored."""
    unstored: str = ""
    """Why not, and how that is mended."""
    lost: tuple[str, ...] = ()
    """Names of files that can never be stored, since the records have lost what they would hold."""


Request = list[Copy] | Closing | Files | None
"""Copies to deliver, the end of the study, files, or, as None, to connect and look up what is there."""


class Outage(Exception):
    """MLflow cannot be used at the moment: what is wrong, and the remedy, where it is not just away."""


class Clock:
    """The machine's clock, which goes on where that is set back: nothing of a process ends before it began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last, self._at = time.time_ns(), time.monotonic_ns()

    def read(self) -> int:
        """Nanoseconds since 1970."""
        with self._lock:
            at = time.monotonic_ns()
            self._last, self._at = max(time.time_ns(), self._last + at - self._at), at
            return self._last


CLOCK = Clock()


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return CLOCK.read() // 1_000_000


def milliseconds(moment: str) -> int:
    """ISO 8601 as milliseconds since 1970; the present where it is not one."""
    try:
        return round(1000 * datetime.fromisoformat(moment).timestamp())
    except ValueError:
        return now()


def many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
