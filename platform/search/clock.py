"""An arm's search on its logical clock: who is asked for, who is stopped, and who may go on.

So many virtual workers advance the arm's trials by one evaluation a tick. What is decided at a tick follows from what
was seen by then: evaluations of earlier ticks, and of the same tick those of trials with smaller numbers. Real workers
find out what trials report, in any order and at any speed; they change when a decision is known, and never what it is.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from platform.design.asha import cut


@dataclass(frozen=True)
class Course:
    """What a search goes by: numbers of trials from 0, and of evaluations from 1."""

    trials: int
    parallel: int
    """Virtual workers."""
    evaluations: int
    """Of a trial that comes to its end."""
    rungs: tuple[int, ...]
    """The evaluations before the last at which trials are compared, in order."""
    reduction: int
    promote: bool = False
    """Whether a trial waits at each rung until it is among the best; otherwise it goes on unless it is not."""


Outcome = Literal["went on", "failed"]
"""Whether a trial came to an evaluation in good health, or failed there or on the way."""


class Trials(Protocol):
    """What is known of an arm's trials, by their numbers."""

    def ask(self, number: int) -> None:
        """Take note that a trial begins, proposed from what the clock has seen of those before it."""

    def outcome(self, number: int, evaluation: int) -> Outcome | None:
        """What became of a trial at an evaluation; None while that is not known."""

    def compared(self, numbers: Sequence[int], evaluation: int) -> Sequence[float]:
        """What is compared of the trials that were seen at a rung."""


@dataclass(frozen=True)
class Ended:
    """How a trial ended for the search."""

    state: Literal["complete", "stopped", "failed"]
    evaluation: int
    """At which it ended, or on the way to which it failed."""
    value: float = 0.0
    """Of a stopped trial: what was compared of it last."""
    cut: float = 0.0
    """And what that should have been."""


class Place(NamedTuple):
    """Where a trial stands: at a tick it comes to its next evaluation."""

    tick: int
    number: int


class Clock:
    """The search so far, advanced as far as outcomes are known.

    The stopping rule (Li et al., MLSys 2020, arXiv 1810.05934, as in Ray Tune and Syne Tune): at a rung a trial goes on
    if it is among the best 1/reduction of those seen there, itself included. With `promote`, the rule as published: a
    trial waits at each rung, and a free worker takes the best of those waiting, at the highest rung first, that are
    among the best 1/reduction there, or else begins a new trial. Departure: where all trials were begun and none came
    to its end, the best of the highest rung goes on, so that the search can choose one that did.
    """

    def __init__(self, course: Course, trials: Trials) -> None:
        self.course = course
        self.asked = 0
        self.seen: list[int] = []
        """The evaluations that were seen of each trial."""
        self.ends: dict[int, Ended] = {}
        self.now = 0
        """The tick of the last decision."""
        self._trials = trials
        self._working: list[Place] = []
        self._idle = course.parallel
        self._arrived: dict[int, list[int]] = {rung: [] for rung in course.rungs}
        """The trials that were seen at each rung, in that order."""
        self._promoted: dict[int, set[int]] = {rung: set() for rung in course.rungs}

    @property
    def finished(self) -> bool:
        """Whether every trial was asked for and has ended."""
        return len(self.ends) == self.course.trials

    @property
    def working(self) -> list[Place]:
        """Where the trials stand that virtual workers have, in the order in which their next evaluations count."""
        return sorted(self._working)

    @property
    def at_work(self) -> set[int]:
        """The trials that virtual workers have."""
        return {place.number for place in self._working}

    def due(self, number: int) -> int:
        """The evaluation up to which a working trial may be trained before its next decision is known."""
        ahead = (rung for rung in self.course.rungs if rung > self.seen[number])
        return next(ahead, self.course.evaluations)

    def advance(self) -> None:
        """Take every decision that what is known allows."""
        self._occupy()
        while self._working:
            place = self._working[0]
            evaluation = self.seen[place.number] + 1
            outcome = self._trials.outcome(place.number, evaluation)
            if outcome is None:
                return
            heapq.heappop(self._working)
            self.now = place.tick
            if outcome == "failed":
                self._end(place.number, Ended("failed", evaluation))
            else:
                self.seen[place.number] = evaluation
                self._arrive(place.number, evaluation)
            self._occupy()

    def _arrive(self, number: int, evaluation: int) -> None:
        """Decide what becomes of a trial after an evaluation."""
        if evaluation == self.course.evaluations:
            self._end(number, Ended("complete", evaluation))
        elif evaluation not in self._arrived:
            self._go_on(number)
        else:
            self._arrived[evaluation].append(number)
            if self.course.promote:
                self._idle += 1
            else:
                self._compare(number, evaluation)

    def _compare(self, number: int, rung: int) -> None:
        """Stop a trial at a rung unless it is among the best."""
        values = self._trials.compared(self._arrived[rung], rung)
        value, least = values[-1], cut(values, self.course.reduction)
        if value < least:
            self._end(number, Ended("stopped", rung, value, least))
        else:
            self._go_on(number)

    def _go_on(self, number: int) -> None:
        heapq.heappush(self._working, Place(self.now + 1, number))

    def _end(self, number: int, end: Ended) -> None:
        self.ends[number] = end
        self._idle += 1

    def _occupy(self) -> None:
        """Give each idle worker a trial, as long as there is one to go on with or to begin."""
        while self._idle and not self.finished and self._take():
            self._idle -= 1

    def _take(self) -> bool:
        """Have a worker take a trial; False where there is none."""
        promoted = self._promotable() if self.course.promote else None
        if promoted is None and self.asked < self.course.trials:
            promoted = self._begin()
        if promoted is None and self.course.promote and not self._working:
            promoted = self._last_resort()
        if promoted is None:
            return False
        self._go_on(promoted)
        return True

    def _begin(self) -> int:
        number = self.asked
        self.asked += 1
        self.seen.append(0)
        self._trials.ask(number)
        return number

    def _promotable(self) -> int | None:
        """The best trial that waits at the highest rung where one is among the best 1/reduction; None without one."""
        for rung in reversed(self.course.rungs):
            ranked = self._ranked(rung)
            for number, _ in ranked[: len(ranked) // self.course.reduction]:
                if number not in self._promoted[rung]:
                    self._promoted[rung].add(number)
                    return number
        return None

    def _last_resort(self) -> int | None:
        """The best trial of the highest rung where none came to its end; otherwise what still waits is stopped."""
        waiting = [
            (rung, [pair for pair in self._ranked(rung) if pair[0] not in self._promoted[rung]])
            for rung in self.course.rungs
        ]
        if not any(end.state == "complete" for end in self.ends.values()):
            for rung, ranked in reversed(waiting):
                if ranked:
                    self._promoted[rung].add(ranked[0][0])
                    return ranked[0][0]
        for rung, ranked in waiting:
            if not ranked:
                continue
            least = cut([value for _, value in self._ranked(rung)], self.course.reduction)
            for number, value in sorted(ranked):
                self.ends[number] = Ended("stopped", rung, value, least)
        return None

    def _ranked(self, rung: int) -> list[tuple[int, float]]:
        """The trials seen at a rung, and what is compared of them: the best first, of equals the first seen."""
        arrived = self._arrived[rung]
        if not arrived:
            return []
        values = self._trials.compared(arrived, rung)
        return sorted(zip(arrived, values, strict=True), key=lambda pair: -pair[1])
