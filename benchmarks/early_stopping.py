"""Which rule stops early best, and how many trials at a time: `python -m benchmarks.early_stopping [RESULTS...]`.

Searches are replayed on whole curves: made-up families, eight real ones of 50 epochs, and the rows of recorded studies
none of whose search trials was stopped, as those of `studies/early_stopping.py`. Each family is drawn many times.
Rules are compared at equal steps, at which one searches more trials than another: a setting's figures are interpolated
between searches of more and more trials. Regret is what the best curve of all ends on above the trial that is picked,
in points; lost is the share of searches whose best trial is stopped.

How many are at a time matters to proposals: fewer trials are known when the next one is proposed. Made-up curves, which
end on heights that two hyperparameters decide, are searched by the proposals of a study.
"""

import argparse
import functools
import itertools
import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from platform.design.asha import ASHA, best
from platform.design.ranges import Dimension, LogUniform
from platform.records.location import recorded
from platform.records.provenance import ROOT
from platform.results.replay.curves import recorded_row
from platform.results.replay.replay import Curve, replay
from platform.search.clock import Clock, Course, Outcome
from platform.search.proposals import Tried, point, propose

DRAWS = 200
EVALUATIONS = 20
LARGEST = 40
"""Trials of the largest search of made-up curves."""
BUDGETS = (1 / 8, 1 / 4, 3 / 8)
"""Steps that rules are compared at, as parts of what all curves of a family take."""
EPOCHS = 50
PARALLEL, SEARCHES = (1, 2, 4, 8, 12), 100
YES_OR_NO = {True: "yes", False: "no"}
DIMENSIONS = {name: Dimension(LogUniform(1e-4, 1.0), None) for name in ("first", "second")}
FIXTURE = ROOT / "tests" / "fixtures" / "learning_curves.json"
Values = tuple[float, ...]
Family = Callable[[Random], Values]


class Setting(NamedTuple):
    """How to stop early."""

    promote: bool
    parallel: int
    reduction: int = 3

    def of(self, trials: int) -> ASHA:
        """The setting of a search of so many trials."""
        return ASHA(trials=trials, reduction=self.reduction, parallel=min(self.parallel, trials), promote=self.promote)

    def __str__(self) -> str:
        return f"{YES_OR_NO[self.promote]:<8}{self.reduction:>6}{self.parallel:>9}"


class Search(NamedTuple):
    """What became of a search."""

    trials: int
    steps: float
    """In trials of full length."""
    regret: float
    lost: bool


SETTINGS = [
    Setting(promote, parallel, reduction)
    for reduction, promote, parallel in itertools.product((2, 3), (False, True), (1, 8))
]


def made(random: Random, noise: float = 0.01, late: float = 0.0, collapsing: float = 0.0) -> Values:
    """A curve that rises to a height: some late and then higher, some fall after a peak."""
    height, pace = random.uniform(0.2, 0.5), random.uniform(5, 12)
    if random.random() < late:
        height, pace = height + 0.1, random.uniform(1.5, 3)
    falls = random.uniform(0.4, 0.8) if random.random() < collapsing else 2.0
    values = []
    for number in range(1, EVALUATIONS + 1):
        time = number / EVALUATIONS
        value = height * (1 - math.exp(-pace * time))
        value *= 1 - 0.6 * min(1.0, max(0.0, (time - falls) / 0.1))
        values.append(value + random.gauss(0, noise))
    return tuple(values)


MADE: Mapping[str, Family] = {
    "steady": made,
    "noise": functools.partial(made, noise=0.05),
    "late bloomers": functools.partial(made, late=0.3),
    "collapse after a peak": functools.partial(made, collapsing=0.3),
}


def drawn(family: Family) -> Iterator[list[Values]]:
    """Draws of a made-up family's curves."""
    for draw in range(DRAWS):
        random = Random(draw)
        yield [family(random) for _ in range(LARGEST)]


def shuffled(curves: Sequence[Values]) -> Iterator[list[Values]]:
    """The orders in which curves may be asked for."""
    for draw in range(DRAWS):
        yield Random(draw).sample(curves, len(curves))


def real() -> list[Values]:
    """Pixel accuracies of real runs after each of their first 50 epochs: of the twelve, four end after five."""
    entries = json.loads(FIXTURE.read_text(encoding="utf-8"))
    return [tuple(values[:EPOCHS]) for entry in entries if len(values := entry["pixacc_seedconv"]) >= EPOCHS]


def rows(results: Path) -> Iterator[tuple[str, list[Values]]]:
    """The rows of recorded studies whose search trials are whole."""
    store, names = recorded(str(results))
    for name in names:
        journal = store.journal(name)
        for arm in () if journal.header is None else journal.header.arms:
            curves = [curve.values for curve in recorded_row(store, journal, arm).curves]
            if len(curves) > 2 and len(set(map(len, curves))) == 1:
                yield f"{name}: {arm.name}", curves


def searched(pool: Sequence[Values], trials: int, setting: Setting) -> Search:
    """Search the first so many curves of a pool."""
    evaluations = len(pool[0])
    steps, asked = range(1, evaluations + 1), setting.of(trials)
    outcome = replay([Curve(values) for values in pool[:trials]], steps, asked.rungs(steps, 0.0), asked)
    highest = max(values[-1] for values in pool)
    winner = max(values[-1] for values in pool[:trials])
    assert outcome.regret is not None, "of whole curves one comes to its end"
    regret = highest - winner + outcome.regret
    return Search(trials, outcome.least_steps / evaluations, 100 * regret, outcome.winner_stopped is True)


def compared(pools: Sequence[Sequence[Values]], setting: Setting, budgets: Sequence[float]) -> list[str]:
    """A setting's line: its figures where as many trials are searched as fit, at each budget."""
    most = len(pools[0])
    means = []
    for trials in sorted({*range(1, min(most, 12) + 1), *range(12, most + 1, 4), most}):
        found = [searched(pool, trials, setting) for pool in pools]
        means.append(tuple(statistics.fmean(column) for column in zip(*found, strict=True)))
    trials, steps, regrets, lost = (np.array(column) for column in zip(*means, strict=True))
    texts = []
    for budget in budgets:
        if budget > steps[-1]:
            texts.append(f"{'-':>12}{'-':>8}{'-':>6}")
            continue
        at = (np.interp(budget, steps, column) for column in (trials, regrets, lost))
        texts.append("{:>12.1f}{:>8.2f}{:>6.0%}".format(*at))
    return [f"{setting}", *texts]


class Proposed:
    """A search by a study's proposals, on curves whose heights two hyperparameters decide."""

    def __init__(self, trials: int, parallel: int, promote: bool, draw: int) -> None:
        self._random = Random(draw)
        self._best = [self._random.uniform(-3.5, -1.0) for _ in DIMENSIONS]
        self._draw, self._values, self.curves = draw, list[dict[str, float]](), list[Values]()
        self._setting = ASHA(trials=trials, parallel=parallel, promote=promote)
        rungs = self._setting.rungs(range(1, EVALUATIONS + 1), 0.0)
        self.clock = Clock(Course(trials, parallel, EVALUATIONS, rungs, self._setting.reduction, promote), self)
        self.clock.advance()

    def ask(self, number: int) -> None:
        """Propose a trial, and draw its curve."""
        first = dict.fromkeys(DIMENSIONS, 0.01)
        values = propose(DIMENSIONS, [*map(self._tried, range(number))], ("benchmark", str(self._draw))) or first
        self._values.append(values)
        aside = sum((math.log10(value) - best) ** 2 for value, best in zip(values.values(), self._best, strict=True))
        height, pace = 0.5 * math.exp(-aside / 2), self._random.uniform(5, 12)
        times = [number / EVALUATIONS for number in range(1, EVALUATIONS + 1)]
        self.curves.append(tuple(height * (1 - math.exp(-pace * time)) + self._random.gauss(0, 0.01) for time in times))

    def outcome(self, number: int, evaluation: int) -> Outcome:
        """Every trial comes to every evaluation."""
        return "went on"

    def compared(self, numbers: Sequence[int], evaluation: int) -> Sequence[float]:
        """The means of trials' last values at a rung."""
        return [self._setting.compared(self.curves[number][:evaluation]) for number in numbers]

    @property
    def regret(self) -> float:
        """What the best point could have ended on above the trial that is picked, in points."""
        reached = [(seen, self.curves[number][seen - 1]) for number, seen in enumerate(self.clock.seen)]
        picked = best(reached)
        assert picked is not None
        return 100 * (0.5 - self.curves[picked][-1])

    def _tried(self, number: int) -> Tried:
        seen, end = self.clock.seen[number], self.clock.ends.get(number)
        value = self.curves[number][seen - 1] if seen else None
        return Tried(point(DIMENSIONS, self._values[number]), None if end is None else end.state, seen, value)


def in_parallel() -> None:
    """Print what it costs to know fewer trials when the next one is proposed."""
    print(f"\nproposals: regret by `parallel`\n{'promote':<8}{'trials':>7}{''.join(f'{n:>8}' for n in PARALLEL)}")
    for promote, trials in itertools.product((False, True), (12, 24)):
        means = [
            statistics.fmean(Proposed(trials, parallel, promote, draw).regret for draw in range(SEARCHES))
            for parallel in PARALLEL
        ]
        print(f"{YES_OR_NO[promote]:<8}{trials:>7}{''.join(f'{mean:>8.2f}' for mean in means)}", flush=True)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "results", type=Path, nargs="*", metavar="RESULTS", help="studies whose search trials are whole"
    )
    options = parser.parse_args()
    families = {name: list(drawn(family)) for name, family in MADE.items()}
    families["eight real curves"] = list(shuffled(real()))
    for results in options.results:
        families |= {name: list(shuffled(curves)) for name, curves in rows(results)}
    for name, pools in families.items():
        budgets = [part * len(pools[0]) for part in BUDGETS]
        print(f"\n{name}")
        heads = "".join(f"  | {f'{budget:g} long: trials  regret  lost':>26}" for budget in budgets)
        print(f"{'promote':<8}{'one in':>6}{'parallel':>9}{heads}")
        for setting in SETTINGS:
            first, *figures = compared(pools, setting, budgets)
            print(first + "".join(f"  | {figure}" for figure in figures), flush=True)
    in_parallel()


if __name__ == "__main__":
    main()
