"""What a worker is given to train, and what each of its steps gives back."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from platform.methods.composition import Composition
from platform.records.record import Ask, Cause, Report
from platform.records.storage.storage import Mark, Storage
from platform.shifts.shift import Shift
from platform.training.given import Given
from platform.training.recipe import Recipe


@dataclass(frozen=True)
class Assignment:
    """Everything that a worker needs to train one trial."""

    ask: Ask
    methods: Composition
    recipe: Recipe
    shift: Shift
    storage: Storage
    reported: int
    """The last step that the driver has on record: a later one in the checkpoint is reported again."""
    resources: dict[str, float]
    """What the worker has of its node, by Ray's names."""
    stop: str
    """When the storage shows this file, the worker stops after the current optimiser step."""
    claim: str
    """What the trial's claim file holds as long as this worker may write."""
    definition: str = ""
    """What a study file's own method means, as `platform.training.code` has it: workers cannot read the file."""
    given: tuple[Given, ...] = ()
    """The trials that it begins from."""
    mark: Mark | None = None
    """What this node must see in the storage; None on one machine."""
    avoided: tuple[str, ...] = ()
    """Ids of nodes that cannot train this trial."""

    @property
    def name(self) -> str:
        """What Ray's tools call this trial: arm, phase and number, and the beginning of its id."""
        name = re.sub(r"[^\w=.+-]", "_", self.ask.name)
        return f"{name}-{self.ask.trial.id[:6]}"


class Node(NamedTuple):
    """The machine that a worker runs on."""

    id: str
    address: str


@dataclass(frozen=True)
class Failure:
    """The trial cannot go on."""

    cause: Cause
    reason: str
    """One line."""
    retry: bool
    """Whether the reason lies outside the trial."""
    trace: str = ""
    """The traceback of an error that nobody foresaw."""


@dataclass(frozen=True)
class UnfitNode:
    """This node cannot train the trial, which others may."""

    node: Node
    reason: str
    """One line."""


@dataclass(frozen=True)
class DiskFailure:
    """A file cannot be read or written, which is not the trial's fault."""

    reason: str
    """One line that names the file."""


@dataclass(frozen=True)
class Stopped:
    """The worker was asked to stop, or another one has the trial by now."""


Result = Report | Failure | UnfitNode | DiskFailure | Stopped
"""What a worker's step gives back."""


def breaks_worker(result: Result) -> bool:
    """Whether a worker takes no other trial after this: its node is unfit, or the process or its GPU may be broken."""
    return isinstance(result, UnfitNode) or (isinstance(result, Failure) and result.cause in ("error", "worker lost"))
