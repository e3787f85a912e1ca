"""Record types: what a trial leaves behind, and what a study decides about it, as plain values."""

import dataclasses
import re
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
Key = tuple[str, str]
"""An arm, and the id of a trial that it asked for."""
Place = tuple[str, Phase, int]
"""An arm, and which of its trials of a phase."""
SOURCE_VAL, TARGET_VAL, TARGET_TEST = "source/val", "target/val", "target/test"
"""Splits, as `Report.confusions` names them."""
SOURCE_MIOU, SOURCE_ACCURACY = "source/miou", "source/accuracy"
ORACLE_MIOU, ORACLE_ACCURACY = "oracle/miou", "oracle/accuracy"
EFFECTIVE_CLASSES = "target/effective_classes"
"""Metrics, as `Report.metrics` names them; those that are computed with target labels begin with `oracle/`."""
CPU = "cpu"
"""The name of the device where a trial was trained on no GPU."""
JOULES_OF_KWH = 3.6e6
"""Records have joules; who reads meters gives kWh, and tables show them."""
LAST, SELECTED = "last", "selected"
"""Which checkpoint of a confirm trial counts."""
Confusion = list[list[int]]
"""20 x 20 counts, row = ground truth, column = prediction, index 19 = void (see `platform.scores.metrics`)."""


def on_record(model: str, multiprocessors: int) -> str:
    """A GPU as reports name it: `NVIDIA H100 80GB HBM3, 132 multiprocessors`."""
    return f"{model}, {multiprocessors} multiprocessors"


def model_of(device: str) -> str:
    """The model of a GPU that a report names, which in those of earlier versions is all of the name."""
    return re.sub(r", \d+ multiprocessors\Z", "", device)


@dataclasses.dataclass(frozen=True)
class Report:
    """What a trial reports at an evaluation."""

    step: int
    seconds: float
    """Time spent training and evaluating since the previous report."""
    metrics: dict[str, float]
    """Values by name: the metrics named above, `loss/<name>`, `learning_rate`."""
    confusions: dict[str, Confusion]
    """Confusions by split; `target/test` in the reports of confirm trials only."""
    parts: int = 1
    """Accumulated parts in which each batch was taken: 2 once memory had run out."""
    node: str = ""
    """The address of the machine that trained since the previous report."""
    device: str = ""
    """The name of that machine's GPU, as `on_record` gives it, or `cpu`."""
    evaluating: float = 0.0
    """What of the seconds was the evaluation; 0 where that was not noted."""
    starting: float = 0.0
    """Seconds besides, in which workers took the trial up since the previous report."""
    saving: float = 0.0
    """Seconds besides, in which checkpoints were left since the previous report: its own, before that is known."""
    awaiting_images: float = 0.0
    """What of the seconds training waited for images to be read."""
    awaiting_device: float = 0.0
    """What of the seconds training waited for the device to be done with what it was given."""
    images: int = 0
    """Images trained on since the previous report, of all batches; 0 where that was not noted."""
    precision: str = ""
    """What networks were computed in: `float32`, `bfloat16` or `float16`."""
    latency: float = 0.0
    """Median seconds from one image to its classes by what is deployed; 0 but in a confirm trial's last report."""
    energy: dict[str, float] = dataclasses.field(default_factory=dict)
    """Joules that the machine's meters counted while a worker had the trial, since the previous report, by meter:
    `processor 0`, and `GPU 3`, the one it is trained on. All that the machine did meanwhile is among them."""
    metered: tuple[float, float] = (0.0, 0.0)
    """From when to when a worker had the trial for this report, in seconds since 1970; 0 where that was not noted. It
    tells with which other trials a meter's joules are shared, and when a study ended."""

    @property
    def times(self) -> dict[str, float]:
        """Speed, and where time was lost, by the names of metrics; nothing where that was not noted."""
        training, alone = self.seconds - self.evaluating, {"time/latency": self.latency} if self.latency else {}
        if not self.images or training <= 0:
            return alone
        return alone | {
            "time/images_per_second": self.images / training,
            "time/awaiting_images": self.awaiting_images,
            "time/awaiting_device": self.awaiting_device,
            "time/evaluating": self.evaluating,
            "time/saving": self.saving,
        }


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
    cost: dict[str, int | float]
    """The fields of `platform.networks.cost.Cost`, for this trial's networks."""
    reports: tuple[Report, ...] = ()
    """One for each evaluated step so far, without a gap."""
    end: End | None = None
    losses: int = 0
    """Workers that the study lost while they trained it; only a ledger knows."""

    @property
    def step(self) -> int:
        """The last reported step, 0 before the first report."""
        return self.reports[-1].step if self.reports else 0

    @property
    def hours(self) -> float:
        """Time spent training and evaluating, in hours."""
        return sum(report.seconds for report in self.reports) / 3600

    @property
    def is_given_up(self) -> bool:
        """Whether it failed for a reason outside of it: nothing is decided by that, and the next run tries it again.

        An error in code before the first report is one, since a machine may lack something, and so is any error of a
        confirm trial, by which nothing is decided.
        """
        end = self.end
        return end is not None and end.retry and (end.cause != "error" or end.step == 0 or self.trial.confirms)

    def going_on(self) -> "Record":
        """The record of an earlier run, as this one goes on from it."""
        return dataclasses.replace(self, end=None) if self.is_given_up else self

    def until(self, end: End | None) -> "Record":
        """The record as seen by an arm for which the trial ended this way, or has not ended.

        An end beyond what is on record does not count: the record was damaged, and the trial fills the gap first.
        """
        if end is None or end.step > self.step:
            return dataclasses.replace(self, end=None)
        reports = tuple(report for report in self.reports if report.step <= end.step)
        return dataclasses.replace(self, reports=reports, end=end)


@dataclasses.dataclass(frozen=True)
class Ask:
    """A trial that a study asked for: the `number`-th of its arm and phase, from 0."""

    arm: str
    phase: Phase
    number: int
    trial: Trial

    @property
    def label(self) -> str:
        """What the trial is called within its arm: `search 3`, `seed 1`."""
        return f"search {self.number}" if self.phase == "search" else f"seed {self.trial.seed}"

    @property
    def name(self) -> str:
        """What the trial is called within its study: `FDA search 3`, `FDA seed 1`."""
        return f"{self.arm} {self.label}"

    @property
    def key(self) -> Key:
        """Tells it from what another arm makes of the same trial."""
        return self.arm, self.trial.id

    @property
    def place(self) -> Place:
        """Tells it from the other asks of its study; of several with one place the last counts."""
        return self.arm, self.phase, self.number


@dataclasses.dataclass(frozen=True)
class Score:
    """What a study's selector makes of a trial of an arm at an evaluation; of several the last counts."""

    arm: str
    """Another arm's for the same trial is another score, where the selector compares it with the others of the arm."""
    trial: str
    """The trial's id."""
    step: int
    select: str
    """The selector's name."""
    value: float


@dataclasses.dataclass(frozen=True)
class ArmHeader:
    """What the table must know of an arm besides its trials."""

    name: str
    method: str
    supervised: bool
    """Whether it, or an arm that it comes after, trains on all target labels: an upper bound, not an adaptation."""
    select: str
    """The metric that stops and picks this arm's trials."""
    searched: dict[str, str]
    """The fields that hold ranges, and the ranges, as text."""
    search_trials: int
    """Fewer than the study's where the ranges hold fewer points; 0 without ranges."""
    warm_up: float
    """The longest warm-up that a trial of the arm may have, a fraction of the steps: no rung lies in it."""
    cost: dict[str, int | float]
    """The fields of `platform.networks.cost.Cost`, at the defaults of what is searched."""
    after: tuple[str, ...] = ()
    """The arms whose confirm trials its trials begin from."""
    starts_searches: bool = False
    """Whether search trials of another arm begin from a trial of it."""
    few: int = 0
    """Labelled target images that it, or an arm that it comes after, trains on; an upper bound's are not counted."""
    recalibrated: bool = False
    """Whether what is deployed normalises by statistics of the target's images, by the recipe's `batch_norm`."""
    given: dict[str, str] = dataclasses.field(default_factory=dict)
    """The fields that the study file gives one value, and the values, as text."""
    adapts: bool = True
    """Whether it, or an arm that it comes after, sees anything of the target; an arm that does not is a lower bound."""
    tuned_as: str = ""
    """The arm whose search chooses the values of its ranges; empty for its own."""
    ablation: str = ""
    """The ablation that it is a row of; empty for none."""
    design: str = ""
    """What rows that ablation has, in words: `leave one out`."""
    parts: dict[str, bool] = dataclasses.field(default_factory=dict)
    """The parts that the ablation takes away and puts in, and whether the arm has them."""
    centre: str = ""
    """The arm that it is held against there; empty where effects are taken over all rows together."""
    gpus: float = 1.0
    """The share of a GPU that a trial takes where it is trained on one; before version 0.2 nobody wrote it down."""
    acts: bool = True
    """Whether its steps change anything: a vote is complete before the first."""
    integers: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    """For searched fields that act through an integer: the integers of their ranges' ends, or of the listed values."""


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
    """Confirm trials per arm; where rows race, at most."""
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
    checkpoint: str = LAST
    """Which checkpoint of a confirm trial counts: the `last`, or the one `selected` by the selector."""
    selector: str = ""
    """What decides the selector's scores: its class, settings and a digest of its code; empty for `oracle/`."""
    compares: bool = False
    """Whether the selector judges trials of one step by each other, and can pick none among a trial's steps."""
    parallel: int = 0
    """Virtual workers of each arm's search; 0 without a search, and where it went by the order of wall time."""
    promote: bool = False
    """Whether search trials wait at rungs until they are among the best."""
    looks: tuple[int, ...] = ()
    """The seeds of a row at which a race looks at it; one number, or before version 0.2 none, without a race."""
    licences: dict[str, str] = dataclasses.field(default_factory=dict)
    """The terms of the data, by data set, as far as the shift says them."""
    images: dict[str, int] = dataclasses.field(default_factory=dict)
    """How many there are of each split; empty where whoever drove the study never had the data."""

    @property
    def first_seeds(self) -> int:
        """The seeds that a row has before any is asked for by what the others score."""
        return self.looks[0] if self.looks else self.seeds

    @property
    def seeds_named(self) -> str:
        """`5`; where rows race `3 to 12`."""
        return str(self.seeds) if self.first_seeds == self.seeds else f"{self.first_seeds} to {self.seeds}"

    @property
    def times_looked(self) -> int:
        """How often it is looked at the rows' scores, to decide whether there are more."""
        return max(1, len(self.looks))

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The classes that the shift's ground truth distinguishes, as groups of train ids."""
        return tuple(tuple(group) for group in self.shift["groups"])


@dataclasses.dataclass(frozen=True)
class Journal:
    """What a study decided, in order."""

    header: StudyHeader | None
    """The last header, None when the study never ran."""
    asks: tuple[Ask, ...]
    ends: dict[Key, End]
    """How trials ended for arms, in the order of the last end of each."""
    losses: Counter[str]
    """How often trials lost their workers, by trial id."""
    scores: dict[str, dict[str, dict[int, dict[str, float]]]]
    """What selectors made of trials, by arm, trial id, step and selector."""

    def scored(self, record: Record, arm: str) -> Record:
        """A record whose reports have, among their metrics, what this study's selector made of them for an arm."""
        scores = self.scores.get(arm, {}).get(record.trial.id)
        if not scores:
            return record
        reports = (
            dataclasses.replace(report, metrics=report.metrics | scores.get(report.step, {}))
            for report in record.reports
        )
        return dataclasses.replace(record, reports=tuple(reports))
