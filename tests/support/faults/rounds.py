"""A search as it must go, computed in rounds: in each, every trial under way is advanced by one evaluation.

A trial that has come to a rung waits there. As soon as one of the search's places is free it goes to the best that
waits at the highest rung and is among the best 1/reduction that came there, or else to a new trial.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from platform.records.record import End, Report
from platform.records.trial import SEARCH_SEED, Trial
from platform.search.health import ailment
from platform.search.proposals import Tried, point, propose
from platform.study import Study

Reports = Callable[[str], tuple[Report, ...]]
"""The reports of a trial, by its id, the selector's scores among their metrics."""


class Searched(NamedTuple):
    """A search trial, and how it ended."""

    trial: Trial
    end: End


class Rounds:
    """The search of an arm."""

    def __init__(self, study: Study, arm: str, name: str, identity: dict[str, Any], reports: Reports) -> None:
        """`name` is the study's."""
        self._row, self._asha, self._rungs = study.row(arm), study.search, study.rungs
        self._address, self._identity, self._reports = (name, arm), identity, reports
        self._trials: list[Trial] = []
        self._seen: list[int] = []
        self._ends: dict[int, End] = {}
        self._arrived: dict[int, dict[int, float]] = defaultdict(dict)
        """By rung, what is compared of the trials that came there."""
        self._gone_on: dict[int, set[int]] = defaultdict(set)

    def searched(self) -> list[Searched]:
        """All trials of the search, in the order asked."""
        assert self._asha is not None
        assert self._asha.promote
        places, under_way = min(self._asha.at_a_time, self._row.search_trials), list[int]()
        while len(self._ends) < self._row.search_trials:
            following = self._taken(places - len(under_way))
            for place, number in enumerate(under_way, start=1):
                self._seen[number] += 1
                if self._goes_on(number):
                    following.append(number)
                following += self._taken(places - len(following) - len(under_way[place:]))
            under_way = sorted(following)
            if not under_way:
                self._end_search(under_way)
        return [Searched(trial, self._ends[number]) for number, trial in enumerate(self._trials)]

    def _taken(self, free: int) -> list[int]:
        """Whom the free places go to."""
        taken = [self._next() for _ in range(free)]
        return [number for number in taken if number is not None]

    def _next(self) -> int | None:
        for rung in sorted(self._rungs, reverse=True):
            best_first = self._best_first(rung)
            for number in best_first[: len(best_first) // self._asha_reduction]:
                if number not in self._gone_on[rung]:
                    self._gone_on[rung].add(number)
                    return number
        return self._begin() if len(self._trials) < self._row.search_trials else None

    def _end_search(self, under_way: list[int]) -> None:
        """Where nobody is among the best any more: without a complete trial, the best at the highest rung goes on."""
        complete = any(end.state == "complete" for end in self._ends.values())
        for rung in sorted(self._rungs, reverse=True):
            waiting = [number for number in self._best_first(rung) if number not in self._gone_on[rung]]
            if waiting and not complete:
                self._gone_on[rung].add(waiting[0])
                under_way.append(waiting[0])
                return
        for rung in self._rungs:
            values = sorted(self._arrived[rung].values(), reverse=True)
            for number in self._arrived[rung].keys() - self._gone_on[rung]:
                least = values[max(1, len(values) // self._asha_reduction) - 1]
                self._ends[number] = self._stopped(rung, self._arrived[rung][number], least)

    @property
    def _asha_reduction(self) -> int:
        assert self._asha is not None
        return self._asha.reduction

    def _best_first(self, rung: int) -> list[int]:
        arrived = self._arrived[rung]
        return sorted(arrived, key=lambda number: -arrived[number])

    def _begin(self) -> int:
        tried = [
            Tried(
                point=point(self._row.dimensions, trial.hyperparameters | trial.recipe),
                state=None if (end := self._ends.get(number)) is None else end.state,
                step=self._trials[number].evaluated_steps[seen - 1] if (seen := self._seen[number]) else 0,
                value=self._value(self._reports(trial.id)[seen - 1]) if seen else None,
            )
            for number, trial in enumerate(self._trials)
        ]
        values = propose(self._row.dimensions, tried, self._address)
        self._trials.append(self._row.trial(values, SEARCH_SEED, self._identity))
        self._seen.append(0)
        return len(self._trials) - 1

    def _value(self, report: Report) -> float:
        return report.metrics[self._row.selector]

    def _goes_on(self, number: int) -> bool:
        """Whether a trial keeps its place after an evaluation: else it has ended, or waits at a rung."""
        trial = self._trials[number]
        reports = self._reports(trial.id)[: self._seen[number]]
        step = reports[-1].step
        cause, reason = ailment(reports) or (None, "")
        if step == trial.steps:
            self._ends[number] = End("complete", cause, reason, step)
        elif cause is not None:
            self._ends[number] = End("failed", cause, reason, step)
        elif step in self._rungs:
            assert self._asha is not None
            window = reports[-self._asha.smoothing :]
            self._arrived[step][number] = sum(map(self._value, window)) / len(window)
        else:
            return True
        return False

    def _stopped(self, step: int, value: float, least: float) -> End:
        assert self._asha is not None
        mean = f"mean of the last {self._asha.smoothing} {self._row.selector} {value:.4f}"
        return End("stopped", "below the cut", f"rung {step}: {mean} is below the cut {least:.4f}", step)
