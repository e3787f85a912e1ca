"""Messages between the driver and the process that talks to MLflow."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """Whether the study's own run lacks its files and its last status."""

    def __bool__(self) -> bool:
        return self.trials > 0 or self.study

    def __str__(self) -> str:
        if not self.trials:
            return "the study's files and status" if self.study else "nothing"
        return f"{many(self.trials, 'trial')} with {many(self.reports, 'report')}"


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
    """The end of a study's own run: its status, files and time."""

    status: Literal["FINISHED", "KILLED"]
    files: tuple[Path, ...]
    at: int


@dataclass(frozen=True)
class Answer:
    """Outcome of a request."""

    held: tuple[str, ...] = ()
    """Ids of trials that MLflow holds as they were sent."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why MLflow did not take a trial, though it took others."""
    away: str = ""
    """Why MLflow could not be used, or is no longer the one it was: connect again before anything else."""


Request = list[Copy] | Closing | None
"""Copies to deliver, the end of the study, or, as None, to connect and look up what is there."""


class Outage(Exception):
    """MLflow cannot be used at the moment."""


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000


def many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
