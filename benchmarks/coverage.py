"""How often intervals hold the truth, tables without a difference show one, and studies find one: by simulation.

`python -m benchmarks.coverage` prints, in a minute or two, the figures of docs/table.md: of the methods that the table
uses, and of those that it does not use for few seeds.
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
from platform.results.statistics.intervals import NO_BOUNDS, bias_corrected, interval
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
DRAWS: dict[str, Draw] = {
    "normal": lambda random, seeds: random.normal(0, 1, seeds),
    "heavy tails (Laplace)": lambda random, seeds: random.laplace(0, 1, seeds),
    "skewed (gamma)": lambda random, seeds: random.gamma(4, 1, seeds) - 4,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=STUDIES, help=f"for each figure (default: {STUDIES})")
    studies = parser.parse_args().studies
    print(f"{'95 % intervals that hold the truth, in per cent':60}" + "".join(f"{seeds:>6} seeds" for seeds in SEEDS))
    for name, draw in DRAWS.items():
        for kind, held in (("Student-t", held_by_t), ("BCa, widened levels", held_by_bootstrap)):
            _print(f"{kind}, {name}", [_share_of(studies, held, draw, seeds) for seeds in SEEDS])
    _print("Fieller, share of a gap", [_share_of(studies, held_by_fieller, DRAWS["normal"], seeds) for seeds in SEEDS])
    for kind, held in (("IQM", held_by_rliable_iqm), ("runs above", held_by_rliable_improvement)):
        name = f"rliable's bootstrap of {kind}, normal: not used"
        _print(name, [_share_of(studies, held, DRAWS["normal"], seeds) for seeds in SEEDS])
    few = max(1, studies // 8)
    print(f"\n{f'tables of {ROWS} rows that do not differ, in per cent':60}" + "".join(f"{n:>6} seeds" for n in SEEDS))
    for name, draw in DRAWS.items():
        _print(f"a p of at most 0.05 to the reference, {name}", [_share_of(studies, shows_one, draw, n) for n in SEEDS])
    _print("a mark of any kind, or a wrong rank, normal", [_share_of(few, errs, DRAWS["normal"], n) for n in SEEDS])
    shares = [_share_of(studies, excludes_zero, DRAWS["normal"], n) for n in SEEDS]
    _print("an interval that excludes 0: not used", shares)
    print(f"\n{f'tables of {ROWS} rows, one by the smallest difference':60}" + "".join(f"{n:>6} seeds" for n in SEEDS))
    _print("its p is at most 0.05", [_share_of(studies, finds, DRAWS["normal"], n) for n in SEEDS])
    _print("it is marked", [_share_of(studies, marks, DRAWS["normal"], n) for n in SEEDS])
    fewer = max(1, studies // 4)
    print(f"\n{f'races of {RACING} rows, to {FOLD} times as many seeds':60}" + "".join(f"{n:>6} seeds" for n in SEEDS))
    for name, draw in DRAWS.items():
        _print(
            f"none differs, a p of at most 0.05, {name}",
            [_share_of(fewer, race_errs, draw, n) for n in SEEDS],
        )
    _print(
        "an interval of a difference that holds the truth",
        [_share_of(fewer, held_by_race, DRAWS["normal"], n) for n in SEEDS],
    )
    _print("one uncorrected: not used", [_share_of(fewer, held_uncorrected, DRAWS["normal"], n) for n in SEEDS])


def _print(name: str, shares: list[float]) -> None:
    print(f"{name:60}" + "".join(f"{share:12.1%}" for share in shares), flush=True)


def _share_of(studies: int, happens: Callable[[np.random.Generator, Draw, int], bool], draw: Draw, seeds: int) -> float:
    random = np.random.default_rng(seeds)
    return sum(happens(random, draw, seeds) for _ in range(studies)) / studies


def held_by_t(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    mean, half_width = interval(draw(random, seeds).tolist())
    return abs(mean) <= half_width


def held_by_bootstrap(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    """Of fewer than ten seeds as well, for which the table has none."""
    return 0.0 in bias_corrected(draw(random, seeds).tolist(), RESAMPLES)


def held_by_fieller(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    """Of a gap of some five standard deviations between seeds."""
    lower, row, upper = (mean + 0.03 * draw(random, seeds) for mean in (0.17, 0.23, 0.40))
    bounds = share((row - lower).tolist(), (upper - lower).tolist()).bounds
    return bounds == NO_BOUNDS or 0.06 / 0.23 in bounds


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
