"""What a trial leaves behind, and what a study decides about it: plain values."""

import dataclasses
from collections import Counter
from typing import Any, Literal

from platform.records.trial import Trial

State = Literal["complete", "stopped", "failed"]
Cause = Literal[
    "below the cut",
    "diverged",
    "out of memory",
    "data",
    "discriminator collapsed",
    "discriminator saturated",
    "predictions collapsed",
    "worker lost",
    "error",
]
"""Why a trial ended before its last step, or what is wrong with one that went on."""
Phase = Literal["search", "confirm"]
Confusion = list[list[int]]
"""20 x 20 counts, row = ground truth, column = prediction, index 19 = void (see `platform.scores.metrics`)."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What a trial says at an evaluation."""

    step: int
    seconds: float
    """Time spent training and evaluating since the previous report."""
    metrics: dict[str, float]
    """By name: `source/miou`, `source/accuracy`, `oracle/miou`, `oracle/accuracy`, `target/effective_classes`,
    `loss/<name>`, `learning_rate`."""
    confusions: dict[str, Confusion]
    """By split: `source/val` and `target/val`; `target/test` in the last report of a confirm trial only."""
    parts: int = 1
    """In how many accumulated parts each batch was taken: 2 once memory had run out."""
    node: str = ""
    """The address of the machine that trained since the previous report."""
    device: str = ""
    """Its GPU's name, or `cpu`."""


@dataclasses.dataclass(frozen=True)
class End:
    """How a trial ended: all its steps, stopped early by a study's search, or failed."""

    state: State
    cause: Cause | None
    """None for a complete trial with which nothing is wrong."""
    reason: str
    """The cause with its numbers, in one line; empty without a cause."""
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
    """One for each evaluated step so far, without a gap."""
    end: End | None = None
    losses: int = 0
    """How often a study lost the worker that trained it; only a ledger knows."""

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
class Arrival:
    """A search trial's arrival at a rung of its arm; their order decides what is compared with what."""

    arm: str
    trial: str
    """Its id."""
    step: int
    value: float
    """The smoothed selector."""


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
    search_trials: int
    """Fewer than the study's where the ranges hold fewer points; 0 without ranges."""
    warm_up: float
    """The longest warm-up that a trial of the arm may have, a fraction of the steps: no rung lies in it."""
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
    smoothing: int
    """Evaluations whose mean is compared at a rung; 0 without a search."""
    shift: dict[str, Any]
    """`Shift.identity()`, with `name`, `size` and `groups`."""
    source: str
    """The study file's text."""
    began: str
    """When the study first ran, as ISO 8601 in UTC: tells a study from one that was started over under its name."""


@dataclasses.dataclass(frozen=True)
class Journal:
    """What a study decided, in order."""

    header: StudyHeader | None
    """The last one, None when the study never ran."""
    asks: tuple[Ask, ...]
    arrivals: tuple[Arrival, ...]
    ends: dict[str, End]
    """By trial id, in the order of the last end of each."""
    losses: Counter[str]
    """How often trials lost their workers, by trial id."""
