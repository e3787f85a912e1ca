"""How far a response and an importance can be trusted: `python -m benchmarks.responses [--searches 60]`.

Made-up searches of two fields, of which the response to the first is known, proposed at random or as a study proposes
(TPE), all trials complete. Scores have variance 1, of which the field has a part, another field another, and the rest
is noise. What a response is of is known up to a constant, what the other field does on average over the trials.

The band should hold the true response at 95 % of the places along the range, and a field that does nothing should be
found to act in 5 % of the searches. An importance should put the field that acts before the one that does not.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from platform.design.ranges import Dimension, Uniform
from platform.results.responses.kriging import response
from platform.search.importance.ped_anova import LEAST_TRIALS, divergences, importance
from platform.search.proposals import Tried, propose
from platform.shifts.randomness import generator

Values = npt.NDArray[np.float64]
NUMBERS = (6, 8, 12, 16, 20, 40)
"""Complete trials."""
SEARCHES = 60
PLACES = np.linspace(0.02, 0.98, 25)
EVENLY = np.linspace(0.0, 1.0, 1001)
DIMENSIONS = {name: Dimension(Uniform(0.0, 1.0), None) for name in ("field", "other")}
SHAPES: dict[str, Callable[[Values], Values]] = {
    "nothing": np.zeros_like,
    "line": lambda x: x,
    "peak": lambda x: -((x - 0.35) ** 2),
    "cliff": lambda x: 1 / (1 + np.exp(25 * (x - 0.7))),
    "bump": lambda x: np.exp(-(((x - 0.4) / 0.12) ** 2) / 2),
}
FOUND = 0.05


class Case(NamedTuple):
    """What decides a score."""

    field: str
    part: float
    """Of the variance."""
    other: str
    others_part: float


RESPONSES = (
    Case("nothing", 0.0, "line", 1.0),
    Case("nothing", 0.0, "line", 0.5),
    Case("line", 0.5, "line", 0.5),
    Case("peak", 0.5, "line", 0.5),
    Case("cliff", 0.8, "peak", 0.1),
    Case("bump", 0.8, "peak", 0.1),
)
IMPORTANCES = (Case("line", 0.8, "nothing", 0.0), Case("peak", 0.8, "nothing", 0.0), Case("peak", 0.5, "nothing", 0.0))


def part_of(shape: str, part: float, at: Values) -> Values:
    """A shape's part in the score, with this variance over the range and mean 0."""
    whole = SHAPES[shape](EVENLY)
    return np.asarray(np.sqrt(part) * (SHAPES[shape](at) - whole.mean()) / (whole.std() or 1.0), np.float64)


def search(case: Case, number: int, trials: int, *, proposed: bool) -> list[Tried]:
    """The `number`-th search of so many trials, all complete."""
    random = generator("response", number)
    tried: list[Tried] = []
    while len(tried) < trials:
        place = {name: float(random.random()) for name in DIMENSIONS}
        if proposed and tried:
            place = propose(DIMENSIONS, tried, ("response", f"{case} {number}"))
        known = [(case.field, case.part, place["field"]), (case.other, case.others_part, place["other"])]
        score = sum(float(part_of(shape, part, np.array([at]))[0]) for shape, part, at in known)
        noise = np.sqrt(max(0.0, 1 - case.part - case.others_part))
        tried.append(Tried(place, "complete", 1, score + noise * random.standard_normal()))
    return tried


def columns(tried: list[Tried]) -> tuple[Values, Values]:
    """The field's values, and the scores."""
    places = np.array([each.point["field"] for each in tried if each.point is not None])
    return places, np.array([each.value for each in tried], np.float64)


def covered(case: Case, tried: list[Tried]) -> tuple[float, bool]:
    """The share of the places at which the band holds the true response, and whether the field is found to act."""
    places, scores = columns(tried)
    found = response(places.tolist(), scores.tolist(), PLACES.tolist())
    true = part_of(case.field, case.part, PLACES) + (scores - part_of(case.field, case.part, places)).mean()
    inside = (np.array(found.low) <= true) & (true <= np.array(found.high))
    return float(inside.mean()), found.chance < FOUND


def print_responses(searches: int) -> None:
    print("response: places at which the band holds it, and searches in which the field is found to act")
    print(f"{'field':<16}{'other':<13}{'proposals':<11}" + "".join(f"{number:>11}" for number in NUMBERS))
    for case in RESPONSES:
        for proposed in (False, True):
            drawn = [search(case, number, max(NUMBERS), proposed=proposed) for number in range(searches)]
            cells = []
            for number in NUMBERS:
                results = [covered(case, tried[:number]) for tried in drawn]
                held, found = (float(np.mean(each)) for each in zip(*results, strict=True))
                cells.append(f"{held:>6.0%}{found:>5.0%}")
            name, other = f"{case.part:.0%} {case.field}", f"{case.others_part:.0%} {case.other}"
            print(f"{name:<16}{other:<13}{'TPE' if proposed else 'random':<11}{''.join(cells)}", flush=True)


def print_importances(searches: int) -> None:
    print("\nimportance: searches in which the field comes before the other, and in which either is found to act")
    print(f"{'field':<16}{'proposals':<11}" + "".join(f"{number:>15}" for number in NUMBERS))
    for case in IMPORTANCES:
        for proposed in (False, True):
            drawn = [search(case, number, max(NUMBERS), proposed=proposed) for number in range(searches)]
            cells = []
            for number in NUMBERS:
                found = [divergences(DIMENSIONS, tried[:number]) for tried in drawn]
                cells.append(f"{np.mean([each['field'] > each['other'] for each in found]):>5.0%}")
                told = [importance(DIMENSIONS, tried[:number]) for tried in drawn if number >= LEAST_TRIALS]
                for name in DIMENSIONS:
                    cells.append(f"{np.mean([each[name].chance < FOUND for each in told]):>5.0%}" if told else " " * 5)
            name = f"{case.part:.0%} {case.field}"
            print(f"{name:<16}{'TPE' if proposed else 'random':<11}{''.join(cells)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="How far a response and an importance can be trusted.")
    parser.add_argument("--searches", type=int, default=SEARCHES, help="searches of each kind")
    options = parser.parse_args()
    print_responses(options.searches)
    print_importances(options.searches)


if __name__ == "__main__":
    main()
