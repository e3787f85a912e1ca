"""The runs that count for a study as it now stands."""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress

from platform.records.record import (
    SELECTED,
    TARGET_TEST,
    ArmHeader,
    Ask,
    Confusion,
    End,
    Place,
    Record,
    Report,
    State,
    StudyHeader,
)
from platform.records.trial import START_NUMBER, confirm_seed
from platform.scores import metrics
from platform.shifts.labels import Groups


@dataclasses.dataclass(frozen=True)
class Run:
    """A trial that was asked for, and what became of it."""

    ask: Ask
    record: Record | None
    select: str = ""
    """The selector that picks its checkpoint; empty where the last one counts."""

    @property
    def reports(self) -> tuple[Report, ...]:
        """What it reported so far."""
        return self.record.reports if self.record else ()

    @property
    def end(self) -> End | None:
        """How it ended, None while it has not."""
        return self.record.end if self.record else None

    @property
    def state(self) -> State | None:
        """How it ended in a word, None while it has not."""
        return self.end.state if self.end else None

    def picked(self, select: str) -> Report | None:
        """The evaluation that a selector picks, of equals the last; None where it has judged none."""
        judged = [report for report in self.reports if select in report.metrics]
        return max(judged, key=lambda report: (report.metrics[select], report.step), default=None)

    @property
    def counted(self) -> Report | None:
        """The evaluation of a complete run that counts."""
        if self.state != "complete" or not self.reports:
            return None
        return self.picked(self.select) if self.select else self.reports[-1]

    @property
    def confusion(self) -> Confusion | None:
        """The confusion matrix on the target's test split of a complete confirm run, None for any other run."""
        return None if self.counted is None else self.counted.confusions.get(TARGET_TEST)


@dataclasses.dataclass(frozen=True)
class ArmRuns:
    """The runs of one arm that count for the study as it now stands, in the order of their numbers."""

    search: tuple[Run, ...]
    confirm: tuple[Run, ...]
    """All of one configuration, the last one chosen."""
    starts: tuple[Run, ...] = ()
    """The run that searches of other arms begin from, which no score counts."""
    seeds: int = 0
    """The confirm runs that it is to have."""

    @property
    def all(self) -> tuple[Run, ...]:
        """Search runs, then confirm runs."""
        return (*self.search, *self.confirm)


def mious(confirm: Sequence[Run], groups: Groups) -> dict[int, float]:
    """mIoU of complete confirm runs on the test split, by seed."""
    found = {}
    for run in confirm:
        # A matrix that somebody else wrote may hold nothing to score.
        with suppress(ValueError):
            if run.confusion is not None:
                found[run.ask.trial.seed] = metrics.cityscapes(run.confusion, groups).miou
    return found


def first(scores: Mapping[int, float], number: int) -> dict[int, float]:
    """The scores of a row's first seeds, of those that it has by seed."""
    return {seed: scores[seed] for seed in map(confirm_seed, range(number)) if seed in scores}


def runs_by_arm(
    header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Mapping[str, Record]]
) -> dict[str, ArmRuns]:
    """The runs that count, by arm; `records` are by arm and trial id, as each arm has them.

    A study may be run again with more trials or fewer seeds, or after a fault was mended: of asks with the same arm,
    phase and number the last counts, and confirm runs of a configuration that a longer search has replaced do not.
    """
    latest: dict[Place, Ask] = {}
    for ask in asks:
        latest.pop(ask.place, None)  # moves it to the end: the order becomes that of the last asks
        latest[ask.place] = ask
    found = {}
    for arm in header.arms:
        search = [
            ask
            for ask in latest.values()
            if (ask.arm, ask.phase) == (arm.name, "search") and ask.number < arm.search_trials
        ]
        confirm = [ask for ask in latest.values() if (ask.arm, ask.phase) == (arm.name, "confirm")]
        chosen = {ask.trial.configuration for ask in confirm[-1:]}
        confirm = [ask for ask in confirm if ask.trial.configuration in chosen]
        counted = [ask for ask in confirm if ask.number < header.seeds]
        starts = [ask for ask in confirm if ask.number == START_NUMBER]
        select = arm.select if header.checkpoint == SELECTED else ""
        own = records.get(arm.name, {})
        found[arm.name] = ArmRuns(_runs(search, own), _runs(counted, own, select), _runs(starts, own), header.seeds)
    return found


def ancestors(header: StudyHeader, arm: ArmHeader) -> set[str]:
    """The arms that an arm comes after, and those that they come after."""
    known, found, left = {other.name: other for other in header.arms}, set[str](), [*arm.after]
    while left:
        name = left.pop()
        if name in known and name not in found:  # records may be somebody else's, and go in a circle
            found.add(name)
            left += known[name].after
    return found - {arm.name}


@dataclasses.dataclass(frozen=True)
class Behind:
    """What an arm's scores rest on."""

    whole: frozenset[str]
    """Arms with all of their runs: itself, and those that its runs, or a search that chose its values, begin from."""
    searches: frozenset[str]
    """Arms with the runs of their search, which chose values of these."""

    def holds(self, run: Run) -> bool:
        """Whether a run is among it."""
        return run.ask.arm in self.whole or (run.ask.arm in self.searches and run.ask.phase == "search")


def behind(header: StudyHeader, arm: ArmHeader) -> Behind:
    """What an arm's scores rest on: its runs, those of arms that it comes after, and searches that chose its values."""
    known = {other.name: other for other in header.arms}
    whole, searches = {arm.name, *ancestors(header, arm)}, set[str]()
    left = [*whole]
    while left:
        lender = known[left.pop()].tuned_as
        if lender in known and lender not in searches:
            searches.add(lender)
            more = ancestors(header, known[lender]) - whole
            whole |= more
            left += more
    return Behind(frozenset(whole), frozenset(searches))


def runs_behind(header: StudyHeader, arm: ArmHeader, by_arm: Mapping[str, ArmRuns]) -> list[Run]:
    """The runs that an arm's scores rest on."""
    rests = behind(header, arm)
    return [run for runs in by_arm.values() for run in (*runs.all, *runs.starts) if rests.holds(run)]


def _runs(asks: Sequence[Ask], records: Mapping[str, Record], select: str = "") -> tuple[Run, ...]:
    return tuple(Run(ask, records.get(ask.trial.id), select) for ask in sorted(asks, key=lambda ask: ask.number))
