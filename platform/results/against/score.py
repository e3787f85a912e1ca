"""By how much two rows differ, with an interval: paired by seed where a seed means the same on both sides."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from platform.records.record import ORACLE_MIOU, TARGET_TEST, Record
from platform.records.trial import Trial
from platform.results.comparison import paired
from platform.results.statistics.intervals import interval, welch_interval
from platform.results.statistics.significance import LEVEL
from platform.scores import metrics
from platform.shifts.labels import NUM_CLASSES, Groups

Way = Literal["same trials", "paired", "Welch", "one run each", "no score"]
"""How two rows were compared."""


@dataclass(frozen=True)
class Half:
    """One side of two rows, or of two trials, that are compared."""

    name: str
    trial: Trial | None
    """As it is on one seed, which both sides have if they share any; None where none was asked for yet."""
    records: tuple[Record, ...]
    """Of what was asked for and begun, each seed's."""
    miou: Mapping[int, float]
    """By seed, of what is complete: on the test split, or of a search trial on the labelled val split."""

    @property
    def ids(self) -> dict[int, str]:
        """The trials, by seed."""
        return {record.trial.seed: record.trial.id for record in self.records}


@dataclass(frozen=True)
class Gap:
    """The difference in mIoU, this side's minus the other's."""

    miou: float
    """nan where a side has no score."""
    half_width: float
    """Of its 95 % interval; nan where a side has a single seed."""
    way: Way
    seeds: tuple[int, int]
    """Behind it, on either side."""
    why: str = ""
    """Why it is not paired."""
    p: float = math.nan
    """Of the paired t-test, or Welch's, adjusted for all rows that are tested with it; nan where there is no test."""
    detectable: float = math.nan
    """The smallest true difference that these seeds find with 80 % power, among all rows that are tested."""

    @property
    def told(self) -> bool:
        """Whether it is told from chance, as differences of a table are: by its p, and by its size."""
        return self.p <= LEVEL and abs(self.miou) >= self.detectable


def gap(this: Half, other: Half, same_draws: bool, looks: int = 1) -> Gap:
    """The difference of two rows; `same_draws` says whether their code is known to draw alike.

    `looks` is how many pairs of looks there may be at which the two stopped, where they raced.

    Where the seeds that both have are the same trials, it is 0 whatever seeds one has besides: rows that are one row.
    Paired by seed, a Student-t interval of the differences, where a seed means the same initial weights and the same
    order of the same images; else, and where they share fewer than two seeds, Welch's of two samples.
    """
    common = sorted(this.miou.keys() & other.miou.keys())
    counts = len(this.miou), len(other.miou)
    if common and all(this.ids[seed] == other.ids[seed] for seed in common):
        return Gap(*interval(paired(this.miou, other.miou)), "same trials", counts)
    if this.trial is None or other.trial is None or not min(counts):
        return Gap(math.nan, math.nan, "no score", counts)
    why = unpaired(this.trial, other.trial, same_draws)
    if not why and max(counts) > 1 and len(common) < 2:
        why = "they share fewer than two seeds"
    if why:
        return Gap(*welch_interval([*this.miou.values()], [*other.miou.values()], looks), "Welch", counts, why)
    if max(counts) <= 1:
        return Gap(*interval(paired(this.miou, other.miou)), "one run each", counts)
    return Gap(*interval(paired(this.miou, other.miou), looks), "paired", (len(common), len(common)))


def unpaired(this: Trial, other: Trial, same_draws: bool) -> str:
    """Why a seed does not mean the same initial weights and the same order of data; empty where it does."""
    for what, one, two in (
        ("other images", _images(this), _images(other)),
        ("another network", this.recipe.get("network"), other.recipe.get("network")),
        ("another batch", this.recipe.get("batch"), other.recipe.get("batch")),
    ):
        if one != two:
            return what
    return "" if same_draws else "other code, which may draw otherwise"


def draw_alike(this: Half, other: Half) -> bool:
    """Whether two sides' code is known to draw alike: the same code, or that of one commit with the same torch.

    Classes of a study file's own may differ then: what they draw is drawn beside the weights and the order of images.
    """
    if this.trial is not None and other.trial is not None and this.trial.code == other.trial.code:
        return True
    known = [
        {(record.provenance.get("git_commit", ""), record.provenance.get("torch", "")) for record in side.records}
        for side in (this, other)
    ]
    if known[0] != known[1] or len(known[0]) != 1:
        return False
    ((commit, torch),) = known[0]
    return bool(commit and torch) and not commit.endswith("+")


def of_trial(record: Record) -> dict[int, float]:
    """What a complete trial scores in its last report: a search trial was never tested, and has the val split's."""
    if record.end is None or record.end.state != "complete" or not record.reports:
        return {}
    last, groups = record.reports[-1], _groups(record.trial)
    if not record.trial.confirms:
        return {record.trial.seed: last.metrics[ORACLE_MIOU]} if ORACLE_MIOU in last.metrics else {}
    with suppress(ValueError, KeyError):
        if groups is not None:
            return {record.trial.seed: metrics.cityscapes(last.confusions[TARGET_TEST], groups).miou}
    return {}


def _groups(trial: Trial) -> Groups | None:
    """The classes that a trial is scored on; None where somebody else's records name none."""
    said = trial.shift.get("groups")
    if not isinstance(said, list) or not said or not all(isinstance(group, list) and group for group in said):
        return None
    known = all(type(member) is int and 0 <= member < NUM_CLASSES for group in said for member in group)
    return tuple(map(tuple, said)) if known else None


def _images(trial: Trial) -> dict[str, object]:
    return {name: value for name, value in trial.shift.items() if name not in ("few", "groups")}
