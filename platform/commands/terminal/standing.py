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
    """Planned trials."""
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
        """All its trials."""
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

    def _kept(self) -> Iterable[tuple[Key, float]]:
        return (
            (key, value) for key, value in self.values.items() if self.ended.get(key, ("complete", 0))[0] != "failed"
        )


class Standing:
    """Where a study stands, from what its ledger told, at moments in seconds of one clock."""

    def __init__(self, planned: Mapping[str, tuple[int, int]], steps: int, selector: Callable[[str], str]) -> None:
        self.arms = {arm: ArmStanding(search, confirm) for arm, (search, confirm) in planned.items()}
        self.steps = steps
        """Of a full-length trial."""
        self.selector = selector
        self._crowd = 0.0
        self._watched: float | None = None
        self._began = 0.0

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
        arm, key = self.arms[ask.arm], (ask.arm, ask.phase, ask.number)
        if record.reports and (value := record.reports[-1].metrics.get(self.selector(ask.arm))) is not None:
            arm.values[key] = value
        before, since = arm.running.pop(key, (record.step, moment))
        advanced = record.step - before
        if event in ("report", "end") and advanced > 0:
            arm.pace.append((advanced, moment - since))
        arm.ended.pop(key, None)
        if record.end is not None:
            arm.ended[key] = record.end.state, record.end.step
        elif event == "report" and advanced <= 0:
            arm.running[key] = before, since
        else:
            arm.running[key] = record.step, moment
        if self._watched is None and arm.running:
            self._began = self._watched = moment

    def watch(self, moment: float) -> None:
        """Average how many trials run at once: over all the time so far at first, later over the last of it."""
        if self._watched is None or moment <= self._watched:
            return
        window = min(moment - self._began, CROWD_SECONDS)
        self._crowd += (self.running - self._crowd) * min(1.0, (moment - self._watched) / window)
        self._watched = moment

    def seconds_per_step(self, arm: str) -> float | None:
        """Of one trial of an arm, from its last reports; of the others while it has none; None before the first."""
        measured = [pace for pace in map(self._measured, self.arms) if pace is not None]
        own = self._measured(arm)
        return own if own is not None or not measured else statistics.fmean(measured)

    def steps_per_second(self) -> float | None:
        """Of all running trials together, None before the first report."""
        paces = [self.seconds_per_step(name) for name, arm in self.arms.items() for _ in arm.running]
        return sum(1 / pace for pace in paces if pace) or None

    def seconds_left(self) -> float | None:
        """Until the last trial ends, None while nothing is known.

        Running trials count to their last step. A search trial to come counts as many steps as those before it took.
        No machine is fast enough to end before the longest of the running trials does.
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
