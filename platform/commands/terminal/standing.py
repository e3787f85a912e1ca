"""Where a running study stands, from what its ledger told."""

import statistics
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from platform.records.ledger import Event
from platform.records.record import Ask, Phase, Record, State

PACE_REPORTS = 30
"""The last reports of an arm whose steps per second count."""
CROWD_SECONDS = 600.0
"""The time over which the number of trials that run at once is averaged."""
Key = tuple[str, Phase, int]


@dataclass
class ArmStanding:
    """Where one arm stands."""

    search: int
    confirm: int
    """How many trials of each kind are planned."""
    running: dict[Key, tuple[int, float]] = field(default_factory=dict)
    """The last reported step of each running trial, and when it was reported, in seconds."""
    ended: dict[Key, tuple[State, int]] = field(default_factory=dict)
    """How each ended trial ended, and at which step."""
    values: dict[Key, float] = field(default_factory=dict)
    """The newest selector of each trial."""
    pace: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=PACE_REPORTS))
    """Steps and seconds between reports."""

    @property
    def planned(self) -> int:
        """How many trials it is to have."""
        return self.search + self.confirm

    @property
    def states(self) -> Counter[State]:
        """How many of its trials ended in which way."""
        return Counter(state for state, _ in self.ended.values())

    @property
    def best(self) -> float | None:
        """The highest newest selector of its search trials, without failed ones; None before the first."""
        return max((value for key, value in self._kept() if key[1] == "search"), default=None)

    @property
    def confirmed(self) -> float | None:
        """The mean selector of its ended confirm trials, without failed ones; None before the first."""
        values = [value for key, value in self._kept() if key[1] == "confirm" and key in self.ended]
        return statistics.fmean(values) if values else None

    def take(self, event: Event, key: Key, record: Record, value: float | None, moment: float) -> None:
        """Enter an event of a trial, whose newest selector is `value`; the same event twice changes nothing."""
        if value is not None:
            self.values[key] = value
        before, since = self.running.pop(key, (record.step, moment))
        steps = record.step - before
        if steps > 0 and event in ("report", "end"):
            self.pace.append((steps, moment - since))
        # A trial that failed may be tried again, and runs then.
        self.ended.pop(key, None)
        if record.end is not None:
            self.ended[key] = record.end.state, record.end.step
        elif event != "pause":
            told_twice = event == "report" and steps <= 0
            self.running[key] = (before, since) if told_twice else (record.step, moment)

    def _kept(self) -> Iterable[tuple[Key, float]]:
        return (
            (key, value) for key, value in self.values.items() if self.ended.get(key, ("complete", 0))[0] != "failed"
        )


class Standing:
    """Where a study stands, from what its ledger told, at moments in seconds of one clock."""

    def __init__(self, planned: Mapping[str, tuple[int, int]], steps: int, selector: Callable[[str], str]) -> None:
        self.arms = {arm: ArmStanding(search, confirm) for arm, (search, confirm) in planned.items()}
        self.steps = steps
        """Steps of a full-length trial."""
        self.selector = selector
        self._crowd = 0.0
        self._watched: float | None = None
        self._began = 0.0

    def expect(self, planned: Mapping[str, tuple[int, int]]) -> tuple[list[str], list[str]]:
        """Take in how many search and confirm trials each arm is to have now; arms that are new, and that get more."""
        before = {name: self.arms[name].planned for name in planned}
        for name, (search, confirm) in planned.items():
            self.arms[name].search, self.arms[name].confirm = search, confirm
        grown = [name for name in planned if self.arms[name].planned > before[name]]
        return [name for name in grown if not before[name]], [name for name in grown if before[name]]

    @property
    def shown(self) -> dict[str, ArmStanding]:
        """The arms that are to have trials."""
        return {name: arm for name, arm in self.arms.items() if arm.planned or arm.ended or arm.running}

    @property
    def planned(self) -> int:
        """All trials of the study."""
        return sum(arm.planned for arm in self.arms.values())

    @property
    def ended(self) -> int:
        """Trials that ended."""
        return sum(len(arm.ended) for arm in self.arms.values())

    @property
    def running(self) -> int:
        """Trials that run now."""
        return sum(len(arm.running) for arm in self.arms.values())

    def take(self, event: Event, ask: Ask, record: Record, moment: float) -> None:
        """Enter an event; the same event twice changes nothing."""
        self.watch(moment)
        if event == "wait":
            return
        arm = self.arms[ask.arm]
        value = record.reports[-1].metrics.get(self.selector(ask.arm)) if record.reports else None
        arm.take(event, (ask.arm, ask.phase, ask.number), record, value, moment)
        if self._watched is None and arm.running:
            self._began = self._watched = moment

    def watch(self, moment: float) -> None:
        """Average how many trials run at once, over all the time so far or its last CROWD_SECONDS."""
        if self._watched is None or moment <= self._watched:
            return
        window = min(moment - self._began, CROWD_SECONDS)
        self._crowd += (self.running - self._crowd) * min(1.0, (moment - self._watched) / window)
        self._watched = moment

    def seconds_per_step(self, arm: str) -> float | None:
        """The pace of one trial of an arm, by its last reports; before them the other arms' mean; None before any."""
        measured = [pace for pace in map(self._measured, self.arms) if pace is not None]
        own = self._measured(arm)
        return own if own is not None or not measured else statistics.fmean(measured)

    def steps_per_second(self) -> float | None:
        """The pace of all running trials together; None before the first report."""
        paces = [self.seconds_per_step(name) for name, arm in self.arms.items() for _ in arm.running]
        return sum(1 / pace for pace in paces if pace) or None

    def seconds_left(self) -> float | None:
        """The time until the last trial ends, in seconds; None while no pace is known.

        Running trials count to their last step, and search trials to come as many steps as those before them took. A
        study takes at least as long as the longest of its running trials.
        """
        paces = {name: self.seconds_per_step(name) for name in self.arms}
        if self._crowd <= 0 or None in paces.values():
            return None
        expected = self._search_steps()
        work, longest = 0.0, 0.0
        for name, arm in self.arms.items():
            pace = paces[name] or 0.0
            begun = Counter(phase for _, phase, _ in chain(arm.running, arm.ended))
            coming = max(0, arm.search - begun["search"]) * expected
            coming += max(0, arm.confirm - begun["confirm"]) * self.steps
            rests = [self.steps - step for step, _ in arm.running.values()]
            work += pace * (coming + sum(rests))
            longest = max(longest, pace * max(rests, default=0))
        return max(work / self._crowd, longest)

    def _measured(self, arm: str) -> float | None:
        steps = sum(steps for steps, _ in self.arms[arm].pace)
        return sum(seconds for _, seconds in self.arms[arm].pace) / steps if steps else None

    def _search_steps(self) -> float:
        """The mean steps of a search trial, where running ones count in full: the first to end are the shortest."""
        taken = [
            step for arm in self.arms.values() for (_, phase, _), (_, step) in arm.ended.items() if phase == "search"
        ]
        running = sum(phase == "search" for arm in self.arms.values() for _, phase, _ in arm.running)
        return (sum(taken) + running * self.steps) / (len(taken) + running) if taken or running else self.steps
