"""Decisions on the logical clock are those of one worker, whoever trains, in whatever order, at whatever speed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import pytest

from platform.search.clock import Clock, Course, Ended, Outcome

SEEDS = range(200)


class Curve(NamedTuple):
    """What a trial would report."""

    values: tuple[float, ...]
    fails: int
    """The evaluation on the way to which it fails; 0 for never."""


@dataclass
class Known:
    """An arm of which so much is on record."""

    curves: Callable[[tuple[float, ...]], Curve]
    """A trial's, by what was proposed."""
    course: Course
    reports: dict[int, int] = field(default_factory=dict)
    """How many evaluations are on record of each trial that was begun."""
    failed: set[int] = field(default_factory=set)
    """The trials of which it is known that they failed after these."""
    asks: list[tuple[float, ...]] = field(default_factory=list)
    """What was proposed: all that was seen of the trials before, and a number of its own."""
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(self.course, self)

    def ask(self, number: int) -> None:
        assert number == len(self.asks)
        seen = (value for other in range(number) for value in self.values(other))
        self.asks.append((number, *seen))
        self.reports.setdefault(number, 0)

    def values(self, number: int) -> tuple[float, ...]:
        """What the clock has seen of a trial."""
        return self.curves(self.asks[number]).values[: self.clock.seen[number]]

    def outcome(self, number: int, evaluation: int) -> Outcome | None:
        if evaluation <= self.reports[number]:
            return "went on"
        return "failed" if number in self.failed and evaluation == self.reports[number] + 1 else None

    def step(self, number: int) -> None:
        """Have a worker train a trial to its next evaluation."""
        if self.curves(self.asks[number]).fails == self.reports[number] + 1:
            self.failed.add(number)
        else:
            self.reports[number] += 1

    @property
    def open(self) -> list[int]:
        """The trials that may be trained to another evaluation, in the order in which it counts."""
        return [
            number
            for _, number in self.clock.working
            if number not in self.failed and self.reports[number] < self.clock.due(number)
        ]

    def compared(self, numbers: Sequence[int], evaluation: int) -> Sequence[float]:
        return [self.curves(self.asks[number]).values[evaluation - 1] for number in numbers]


def curves(seed: int, evaluations: int, failing: float) -> Callable[[tuple[float, ...]], Curve]:
    """Random curves: a trial's depends on all that its proposal was made from."""

    def curve(ask: tuple[float, ...]) -> Curve:
        random = Random(f"{seed} {ask}")
        level, values = random.random(), []
        for _ in range(evaluations):
            level += random.gauss(0, 0.2)
            values.append(round(level, random.choice((1, 6))))  # ties are among them
        return Curve(tuple(values), random.randint(1, evaluations) if random.random() < failing else 0)

    return curve


def course(random: Random) -> Course:
    """Any course."""
    trials, evaluations = random.randint(1, 12), random.randint(1, 9)
    rungs = sorted(random.sample(range(1, evaluations), random.randint(0, min(3, evaluations - 1))))
    return Course(
        trials,
        random.randint(1, trials),
        evaluations,
        tuple(rungs),
        random.randint(2, 4),
        promote=random.random() < 0.5,
    )


def arms(seed: int) -> list[Known]:
    """A study's arms, of one course."""
    random = Random(seed)
    one, failing = course(random), random.choice((0.0, 0.3, 1.0))
    return [Known(curves(random.randrange(10**9), one.evaluations, failing), one) for _ in range(random.randint(1, 5))]


def decided(arm: Known) -> tuple[list[tuple[float, ...]], dict[int, Ended], list[int]]:
    """All that was decided of an arm."""
    return arm.asks, arm.clock.ends, arm.clock.seen


def alone(arm: Known) -> Known:
    """The arm as one worker has it, that trains whatever counts next."""
    arm.clock.advance()
    while not arm.clock.finished:
        arm.step(arm.open[0])
        arm.clock.advance()
    return arm


class Busy(NamedTuple):
    """A worker that will have trained a trial to its next evaluation."""

    until: float
    arm: int
    number: int


def together(study: list[Known], random: Random, workers: int) -> None:
    """Have workers of random speeds train a study's arms, killed now and then.

    A kill forgets all decisions, and what workers were about to report.
    """
    busy: list[Busy] = []
    now = 0.0
    while True:
        for arm in study:
            arm.clock.advance()
        taken = {(each.arm, each.number) for each in busy}
        open_ = [(index, number) for index, arm in enumerate(study) for number in arm.open]
        for index, number in [each for each in open_ if each not in taken][: workers - len(busy)]:
            busy.append(Busy(now + random.expovariate(1), index, number))
        if not busy:
            return
        busy.sort()
        if random.random() < 0.1:
            busy.clear()
            for index, arm in enumerate(study):
                study[index] = Known(arm.curves, arm.course, {**arm.reports}, {*arm.failed})
            continue
        now, index, number = busy.pop(0)
        study[index].step(number)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_workers_decide_as_one_alone(seed: int) -> None:
    random = Random(f"workers {seed}")
    study = arms(seed)
    together(study, random, random.choice((1, 2, 3, 5, 16)))
    for arm, single in zip(study, map(alone, arms(seed)), strict=True):
        assert arm.clock.finished, "every trial ends"
        assert decided(arm) == decided(single)
        assert arm.reports == single.reports, "nothing is trained that one worker alone would not have trained"
