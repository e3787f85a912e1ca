"""A search as it must go, computed in rounds: in each, every trial under way is advanced by one evaluation."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from platform.records.record import End, Report
from platform.records.trial import SEARCH_SEED, Trial
from platform.search.health import ailment
from platform.search.proposals import Tried, propose
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
        self._arrived: dict[int, list[float]] = defaultdict(list)

    def searched(self) -> list[Searched]:
        """All trials of the search, in the order asked."""
        assert self._asha is not None
        wanted = self._row.search_trials
        under_way: list[int] = []
        while len(self._ends) < wanted:
            if not under_way:
                under_way = [self._begin() for _ in range(min(self._asha.at_a_time, wanted))]
            following: list[int] = []
            for number in under_way:
                self._seen[number] += 1
                end = self._end(self._trials[number], self._reports(self._trials[number].id)[: self._seen[number]])
                if end is None:
                    following.append(number)
                    continue
                self._ends[number] = end
                if len(self._trials) < wanted:
                    following.append(self._begin())
            under_way = sorted(following)
        return [Searched(trial, self._ends[number]) for number, trial in enumerate(self._trials)]

    def _begin(self) -> int:
        tried = [
            Tried(
                values={name: (trial.hyperparameters | trial.recipe)[name] for name in self._row.dimensions},
                state=None if (end := self._ends.get(number)) is None else end.state,
                # What a running one has reported tells the sampler nothing.
                step=0 if end is None else end.step,
                value=None if end is None else self._value(self._reports(trial.id)[self._seen[number] - 1]),
            )
            for number, trial in enumerate(self._trials)
        ]
        values = propose(self._row.dimensions, tried, self._address)
        self._trials.append(self._row.trial(values, SEARCH_SEED, self._identity))
        self._seen.append(0)
        return len(self._trials) - 1

    def _value(self, report: Report) -> float:
        return report.metrics[self._row.selector]

    def _end(self, trial: Trial, reports: tuple[Report, ...]) -> End | None:
        """How a trial ends at the last of these reports."""
        step = reports[-1].step
        cause, reason = ailment(reports) or (None, "")
        if step == trial.steps:
            return End("complete", cause, reason, step)
        if cause is not None:
            return End("failed", cause, reason, step)
        return self._stop(step, reports) if step in self._rungs else None

    def _stop(self, step: int, reports: tuple[Report, ...]) -> End | None:
        assert self._asha is not None
        window = reports[-self._asha.smoothing :]
        value = sum(map(self._value, window)) / len(window)
        self._arrived[step].append(value)
        best_first = sorted(self._arrived[step], reverse=True)
        least = best_first[max(1, len(best_first) // self._asha.reduction) - 1]
        if value >= least:
            return None
        mean = f"mean of the last {self._asha.smoothing} {self._row.selector} {value:.4f}"
        return End("stopped", "below the cut", f"rung {step}: {mean} is below the cut {least:.4f}", step)
