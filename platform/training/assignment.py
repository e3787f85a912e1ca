"""What a worker is given to train, and what it gives back."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from platform.methods.method import Method
from platform.records.record import Ask, Cause
from platform.records.storage.storage import Mark, Storage
from platform.shifts.shift import Shift
from platform.training.recipe import Recipe

REPORT = "report"
FAILURE = "failure"
INTERRUPTED = "interrupted"
DISK = "disk"
UNFIT = "unfit"
"""Keys of what a step returns: a Report, a Failure, True, the file with what is wrong, and an UnfitNode."""


class Failure(NamedTuple):
    """Why a trial cannot go on."""

    cause: Cause
    reason: str
    """One line."""
    retry: bool
    """Whether the reason lies outside the trial."""
    trace: str = ""
    """The traceback of an error that nobody foresaw."""


class UnfitNode(NamedTuple):
    """A node that cannot train a trial which others may."""

    id: str
    address: str
    reason: str
    """One line."""


class Unfit(Exception):
    """This node cannot train the trial; the message says why."""


class Superseded(Exception):
    """Another worker has the trial by now: this one was taken for dead."""


class DiskFault(Exception):
    """A file that cannot be read or written; the message names it."""


@dataclass(frozen=True)
class Assignment:
    """Everything that a worker needs to train one trial."""

    ask: Ask
    method: Method
    recipe: Recipe
    shift: Shift
    storage: Storage
    reported: int
    """The last step that the driver has on record: a later one in the checkpoint is reported again."""
    resources: dict[str, float]
    """What the worker has of its node, by Ray's names."""
    stop: str
    """When this file shows in the storage, the worker stops after the current optimiser step."""
    claim: str
    """What the trial's claim file holds as long as this worker may write."""
    mark: Mark | None = None
    """What this node must see in the storage; None on one machine."""
    avoided: tuple[str, ...] = ()
    """Ids of nodes that cannot train it."""

    @property
    def name(self) -> str:
        """What Ray's tools call this trial: arm, phase and number, and the beginning of its id."""
        name = re.sub(r"[^\w=.+-]", "_", self.ask.name)
        return f"{name}-{self.ask.trial.id[:6]}"
