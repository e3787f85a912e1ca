"""How often intervals hold the truth, tables without a difference show one, and studies find one: by simulation.

`python -m benchmarks.coverage` prints, in a quarter of an hour, the figures of docs/table.md: of the methods that the
table uses, and of those that it does not use for few seeds.
"""

import argparse
import math
from collections.abc import Callable, Sequence

import numpy as np

from platform.records.trial import confirm_seed
from platform.results.comparison import compared, judged, paired
from platform.results.rounds.race import raced
from platform.results.statistics.gap import share
from platform.results.statistics.improvement import interquartile_mean, probability_of_improvement
from platform.results.statistics.intervals import NO_BOUNDS, bias_corrected, interval, welch_interval
from platform.results.statistics.power import smallest_difference
from platform.results.statistics.ranks import Ranks
from platform.results.statistics.significance import LEVEL, holm, paired_t

SEEDS = (3, 5, 10)
STUDIES = 4000
"""Simulated studies behind a figure: its standard error is 0.3 points at 95 %."""
RESAMPLES = 5000
RACING, FOLD = 5, 4
"""Rows of a race, and how many times the seeds of its first look they may have."""
ROWS, CLASSES = 8, 13
"""Rows that are compared with the reference, where a whole table is simulated, and its classes."""
Draw = Callable[[np.random.Generator, int], np.ndarray]
Event = Callable[[np.random.Generator, Draw, int], bool]
DRAWS: dict[str, Draw] = {
    "normal": lambda random, seeds: random.normal(0, 1, seeds),
    "heavy tails (Laplace)": lambda random, seeds: random.laplace(0, 1, seeds),
    "skewed (gamma)": lambda random, seeds: random.gamma(4, 1, seeds) - 4,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=STUDIES, help=f"for each figure (default: {STUDIES})")
    _print_tables(parser.parse_args().studies)


def _print_tables(studies: int) -> None:
    """What takes longer has fewer studies behind it."""
    normal = DRAWS["normal"]
    _head("95 % intervals that hold the truth, in per cent")
    for name, draw in DRAWS.items():
        _line(f"Student-t, {name}", studies, held_by_t, draw)
        _line(f"BCa, widened levels, {name}", studies, held_by_bootstrap, draw)
    _line("Fieller, share of a gap", studies, held_by_fieller, normal)
    _line("Welch, other seeds on either side, normal", studies, held_by_welch, normal)
    _line("rliable's bootstrap of IQM, normal: not used", studies, held_by_rliable_iqm, normal)
    _line("rliable's bootstrap of runs above, normal: not used", studies, held_by_rliable_improvement, normal)
    _head(f"tables of {ROWS} rows that do not differ, in per cent")
    for name, draw in DRAWS.items():
        _line(f"a p of at most 0.05 to the reference, {name}", studies, shows_one, draw)
    _line("a mark of any kind, or a wrong rank, normal", max(1, studies // 8), errs, normal)
    _line("an interval that excludes 0: not used", studies, excludes_zero, normal)
    _head(f"tables of {ROWS} rows, one by the smallest difference")
    _line("its p is at most 0.05", studies, finds, normal)
    _line("it is marked", studies, marks, normal)
    _head(f"races of {RACING} rows, to {FOLD} times as many seeds")
    fewer = max(1, studies // 4)
    for name, draw in DRAWS.items():
        _line(f"none differs, a p of at most 0.05, {name}", fewer, race_errs, draw)
    _line("an interval of a difference that holds the truth", fewer, held_by_race, normal)
    _line("one uncorrected: not used", fewer, held_uncorrected, normal)


def _head(title: str) -> None:
    print(f"\n{title:60}" + "".join(f"{seeds:>6} seeds" for seeds in SEEDS) + "   studies", flush=True)


def _line(name: str, studies: int, happens: Event, draw: Draw) -> None:
    shares = [_share_of(studies, happens, draw, seeds) for seeds in SEEDS]
    print(f"{name:60}" + "".join(f"{share:12.1%}" for share in shares) + f"{studies:10,}", flush=True)


def _share_of(studies: int, happens: Event, draw: Draw, seeds: int) -> float:
    random = np.random.default_rng(seeds)
    return sum(happens(random, draw, seeds) for _ in range(studies)) / studies


def held_by_t(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    mean, half_width = interval(draw(random, seeds).tolist())
    return abs(mean) <= half_width


def held_by_bootstrap(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    """Of fewer than ten seeds as well, for which the table has none."""
    bounds = bias_corrected(draw(random, seeds).tolist(), RESAMPLES)
    return bounds.low <= 0 <= bounds.high


def held_by_fieller(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    """Of a gap of some five standard deviations between seeds."""
    lower, row, upper = (mean + 0.03 * draw(random, seeds) for mean in (0.17, 0.23, 0.40))
    bounds = share((row - lower).tolist(), (upper - lower).tolist()).bounds
    return bounds == NO_BOUNDS or bounds.low <= 0.06 / 0.23 <= bounds.high


def held_by_welch(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    """Of two sides of as many seeds and as much spread."""
    difference, half_width = welch_interval(draw(random, seeds).tolist(), draw(random, seeds).tolist())
    return abs(difference) <= half_width


def held_by_rliable_iqm(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    values = draw(random, seeds)
    means = [interquartile_mean(values[drawn].tolist()) for drawn in random.integers(seeds, size=(200, seeds))]
    low, high = np.quantile(means, [0.025, 0.975])
    return bool(low <= 0 <= high)


def held_by_rliable_improvement(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    """Of runs that are on average two standard deviations above the others."""
    one, other = 2 + draw(random, seeds), draw(random, seeds)
    found = [
        probability_of_improvement(one[drawn].tolist(), other[others].tolist())
        for drawn, others in random.integers(seeds, size=(200, 2, seeds))
    ]
    low, high = np.quantile(found, [0.025, 0.975])
    return bool(low <= 0.5 * math.erfc(-1) <= high)


def _table(random: np.random.Generator, draw: Draw, seeds: int, true: float = 0.0) -> list[list[float]]:
    """Differences of rows to a reference, of which one is true."""
    rows = np.asarray([draw(random, seeds) for _ in range(ROWS + 1)])
    rows[1] += true
    differences: list[list[float]] = (rows[1:] - rows[0]).tolist()
    return differences


def shows_one(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    return min(holm(dict(enumerate(map(paired_t, _table(random, draw, seeds))))).values()) <= LEVEL


def errs(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    """Of a whole table: differences to the reference, to the best row and by class, and ranks."""
    names = [f"row {number}" for number in range(ROWS + 1)]
    ious = {name: np.asarray([draw(random, CLASSES) for _ in range(seeds)]) for name in names}
    found = compared(
        {name: dict(enumerate(iou.mean(axis=1).tolist())) for name, iou in ious.items()},
        {name: dict(enumerate(iou.tolist())) for name, iou in ious.items()},
        CLASSES,
        names[0],
        names,
        None,
    )
    differences = [each for row in found.values() for each in (row.to_reference, row.to_best, *row.classes)]
    return any(each.told for each in differences) or {row.ranks for row in found.values()} != {Ranks(1, len(names))}


def excludes_zero(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    return any(abs(mean) > half_width for mean, half_width in map(interval, _table(random, draw, seeds)))


def _smallest(seeds: int) -> float:
    return smallest_difference(math.sqrt(2), seeds, ROWS)


def finds(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    differences = _table(random, draw, seeds, _smallest(seeds))
    return holm(dict(enumerate(map(paired_t, differences))))[0] <= LEVEL


def marks(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    differences = _table(random, draw, seeds, _smallest(seeds))
    told = holm(dict(enumerate(map(paired_t, differences))))[0] <= LEVEL
    return told and interval(differences[0])[0] >= _smallest(seeds)


def _race(random: np.random.Generator, draw: Draw, seeds: int, means: Sequence[float]) -> dict[str, dict[int, float]]:
    """The scores of rows that raced, from so many seeds on."""
    looks = _looks(seeds)
    every = {f"row {row}": mean + draw(random, looks[-1]) for row, mean in enumerate(means)}
    asked = dict.fromkeys(every, 0)
    while True:
        scores = {
            name: {confirm_seed(seed): float(values[seed]) for seed in range(asked[name])}
            for name, values in every.items()
        }
        if (found := raced(scores, asked, looks)) == asked:
            return scores
        asked = found


def _looks(seeds: int) -> tuple[int, ...]:
    return (seeds, 2 * seeds, FOLD * seeds)


def race_errs(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    scores = _race(random, draw, seeds, [0.0] * RACING)
    samples = {name: paired(scores[name], scores["row 0"]) for name in scores if name != "row 0"}
    return min(each.p for each in judged(samples, looks=len(_looks(seeds))).values()) <= LEVEL


def _held(random: np.random.Generator, draw: Draw, seeds: int, looks: int) -> bool:
    """Of one of two rows that lie apart by what the seeds of the second look would show."""
    apart = smallest_difference(math.sqrt(2), 2 * seeds, RACING)
    scores = _race(random, draw, seeds, [0.0, apart, *[20 * apart * row for row in range(1, RACING - 1)]])
    mean, half_width = interval(paired(scores["row 1"], scores["row 0"]), looks)
    return abs(mean - apart) <= half_width


def held_by_race(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    return _held(random, draw, seeds, len(_looks(seeds)))


def held_uncorrected(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    return _held(random, draw, seeds, 1)


if __name__ == "__main__":
    main()
