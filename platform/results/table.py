"""The comparison table: its rows, and what a reader must know to believe it."""

import dataclasses
from typing import Literal

from platform.records.record import Cause, StudyHeader
from platform.results.runs import groups_of
from platform.shifts.labels import group_names

FIXED = "fixed"
"""What `Row.tuned` says of an arm without ranges: its values stand in the study file or are published defaults."""
Failure = Literal["all trials failed", "all seeds failed"]


@dataclasses.dataclass(frozen=True)
class Row:
    """One arm of the comparison; scores are fractions in [0, 1], nan where no run gives them."""

    arm: str
    method: str
    tuned: str
    """The chosen values of the searched fields; empty while the search has not chosen."""
    seeds: int
    """Confirm runs behind the scores."""
    miou: float
    miou_ci: float
    """Half-width of the 95 % Student-t interval over seeds, nan for fewer than two; so are the other `_ci`."""
    accuracy: float
    accuracy_ci: float
    delta: float
    """Mean difference in mIoU to the reference arm, paired by seed."""
    delta_ci: float
    parameters: int
    discriminator_parameters: int
    gflops: float
    discriminator_gflops: float
    trials: int
    """Search trials asked."""
    stopped: int
    """Search trials that the search ended early."""
    failed: int
    """Failed trials, search and confirm."""
    hours: float
    """Training and evaluation of all the arm's trials."""
    selected_by: str
    """The metric that stopped and picked this arm's trials; `oracle/` for an upper bound trained on target labels."""
    failure: Failure | None
    """What leaves the row without scores, None while some trial may still give them."""
    causes: dict[Cause, int]
    """Why trials failed, the most frequent cause first."""
    flaws: dict[Cause, int]
    """What is wrong with seeds that ran to their end and count: leaving them out would flatter the row."""
    reasons: tuple[str, ...]
    """What went wrong with its trials in numbers, each reason once, with the id of the first trial that gives it."""
    halved: int
    """Trials that ran out of memory and went on with their batches in accumulated halves."""
    searched: str
    """The ranges that the search drew from."""
    deployed_parameters: int
    deployed_gflops: float
    original_gflops: float
    original_discriminator_gflops: float
    miou_original: float
    """By the original study's convention, nan where the ground truth does not distinguish the 19 classes."""
    accuracy_original: float
    supervised: bool
    """Whether the method trains on target labels."""
    seeds_missing: int
    seeds_paired: int
    """Seeds that both this arm and the reference have: those behind the difference."""
    iou: tuple[float, ...]
    """Mean IoU of each of the table's groups."""

    @property
    def differs(self) -> bool:
        """Whether the interval of the paired difference excludes 0; never for a single seed."""
        return abs(self.delta) > self.delta_ci


@dataclasses.dataclass(frozen=True)
class Table:
    """The comparison, and what a reader must know to believe it."""

    header: StudyHeader
    rows: tuple[Row, ...]
    """One per arm, in the study's order, whether it ran or not."""
    absent: tuple[str, ...]
    """Groups that the test split never holds: left out of the mean."""
    notes: tuple[str, ...]
    """What is missing or went wrong, one sentence each; empty for a study that ran to its end without a fault."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the evaluated groups of classes."""
        return group_names(groups_of(self.header))

    @property
    def selected_by_oracle(self) -> bool:
        """Whether target labels chose the configurations."""
        return self.header.select.startswith("oracle/")
