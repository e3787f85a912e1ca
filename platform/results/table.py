"""The comparison table: its rows, and what a reader must know to believe it."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Literal

from platform.networks.cost import Cost
from platform.records.record import Cause, StudyHeader
from platform.results.comparison import Comparison, Detectable
from platform.results.fairness.ledger import Fairness
from platform.results.responses.fields import SearchedField, searched_fields
from platform.results.runs import ArmRuns
from platform.shifts.labels import group_names

FIXED = "fixed"
"""What `Row.tuned` says of an arm without ranges: its values stand in the study file or are published defaults."""
Failure = Literal["all trials failed", "all seeds failed"]


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of the complete confirm runs on the test split: fractions in [0, 1], nan where no run gives them."""

    seeds: int
    """Runs behind the scores."""
    miou: float
    miou_ci: float
    """Half-width of the 95 % Student-t interval over seeds, nan for fewer than two; so is `accuracy_ci`."""
    accuracy: float
    accuracy_ci: float
    original_miou: float
    """By the original study's convention, nan where one label of the ground truth stands for several classes."""
    original_accuracy: float
    interquartile_miou: float
    """Mean of the middle half of the runs' mIoU."""
    iou: tuple[float, ...]
    """Mean IoU of each of the table's groups."""
    miou_over: Mapping[int, tuple[float, float]]
    """mIoU over 19, 16 and 13 of Cityscapes' classes, and its half-width; nan where the groups do not tell them."""


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """mIoU on the test split of a row's checkpoints, mean over its complete confirm runs; nan where none was tested."""

    last: float
    selected: float
    """Of the one that the row's selector picks, run by run."""
    best: float
    """Of the one that the test labels pick, which nobody may."""


UNTESTED = Checkpoints(math.nan, math.nan, math.nan)


@dataclasses.dataclass(frozen=True)
class Effort:
    """What it took to reach the scores."""

    trials: int
    """Search trials asked."""
    stopped: int
    """Search trials that the search ended early."""
    hours: float
    """Training and evaluation of all trials that the scores rest on, as in `platform.results.runs.Behind`."""


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast the arm's own trials trained, and on what else their time went; nan where that was not noted."""

    trained_on: tuple[str, ...]
    """The devices, each with the precision in which networks were computed."""
    images_per_second: float
    """Images trained on, by the second of training."""
    awaiting_images: float
    """The fraction of training in which they waited for images to be read."""
    awaiting_device: float
    """The fraction of training in which they waited for the device."""
    evaluating: float
    """The fraction of training, evaluating and saving together that was evaluating."""
    saving: float
    """The fraction of these that was leaving checkpoints."""


UNTIMED = Speed((), math.nan, math.nan, math.nan, math.nan, math.nan)


@dataclasses.dataclass(frozen=True)
class Latency:
    """How long what is deployed takes for one image of the shift's size, alone in its batch."""

    milliseconds: float
    """From the image to the class of each pixel: median over all confirm runs of rows that deploy a network of the same
    parameters and operations; nan where none timed it."""
    timed_on: tuple[str, ...]
    """The devices, each with the precision in which networks were computed, and with the CPU's threads."""


UNTIMED_IMAGE = Latency(math.nan, ())


@dataclasses.dataclass(frozen=True)
class Troubles:
    """What went wrong with the arm's trials, and what that leaves missing."""

    failed: int
    """Failed trials, search and confirm."""
    causes: dict[Cause, int]
    """Why trials failed, the most frequent cause first."""
    failure: Failure | None
    """What leaves the row without scores, None while some trial may still give them."""
    seeds_missing: int
    flaws: dict[Cause, int]
    """What is wrong with seeds that ran to their end and count: leaving them out would flatter the row."""
    halved: int
    """Trials that ran out of memory and went on with their batches in accumulated halves."""
    reasons: tuple[str, ...]
    """What went wrong with its trials in numbers, each reason once, with the id of the first trial that gives it."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One arm of the comparison."""

    arm: str
    method: str
    supervised: bool
    """Whether it, or an arm that it comes after, trains on all target labels."""
    few: int
    """Target images on whose labels it, or an arm that it comes after, trains, of those that the shift grants."""
    after: tuple[str, ...]
    """The arms that its trials begin from."""
    selected_by: str
    """The metric that stopped and picked this arm's trials; `oracle/` for an upper bound trained on target labels."""
    given: str
    """The values that the study file gives its fields."""
    searched: str
    """The ranges that the search drew from."""
    tuned: str
    """The chosen values of the searched fields; empty while the search has not chosen."""
    scores: Scores
    checkpoints: Checkpoints
    comparison: Comparison
    cost: Cost
    """What the chosen configuration costs; before there is one, the defaults."""
    latency: Latency
    effort: Effort
    speed: Speed
    troubles: Troubles
    fairness: Fairness


@dataclasses.dataclass(frozen=True)
class Table:
    """The comparison, and what a reader must know to believe it."""

    header: StudyHeader
    rows: tuple[Row, ...]
    """One per arm, in the study's order, whether it ran or not."""
    runs: Mapping[str, ArmRuns]
    """The runs behind each row, by arm."""
    detectable: Detectable
    bounds: tuple[str, str] | None
    """The arms without adaptation and with the target's labels, between which the gap lies; None where it is not plain
    which they are."""
    absent: tuple[str, ...]
    """Groups that the test split never holds: their IoU is 0 where a run predicts them, and else left out."""
    notes: tuple[str, ...]
    """What is missing or went wrong, one sentence each; empty for a study that ran to its end without a fault."""

    @functools.cached_property
    def searched(self) -> tuple[SearchedField, ...]:
        """What search trials say of the fields that rows search: computed, once, where it is first shown."""
        return searched_fields(self.header, self.runs)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the evaluated groups of classes."""
        return group_names(self.header.groups)

    @property
    def best(self) -> str | None:
        """The arm that the others of equal budget are compared with; None where no two are ranked."""
        return next((row.arm for row in self.rows if row.comparison.is_best), None)

    @property
    def selected_by_oracle(self) -> bool:
        """Whether target labels chose the configurations."""
        return self.header.select.startswith("oracle/")
