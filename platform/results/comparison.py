"""What the rows of a table have over each other: differences paired by seed, and which of them are told from chance."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from platform.results.statistics.gap import NO_SHARE, Share, share
from platform.results.statistics.improvement import probability_of_improvement
from platform.results.statistics.intervals import NO_BOUNDS, Bounds, bootstrapped, interval
from platform.results.statistics.power import pooled, smallest_difference
from platform.results.statistics.ranks import UNRANKED, Ranks, ranks
from platform.results.statistics.significance import LEVEL, holm, least_sign_flip, paired_t, sign_flip

Key = TypeVar("Key", bound=Hashable)
BySeed = Mapping[int, float]
"""mIoU of a row's complete confirm runs."""


@dataclass(frozen=True)
class Difference:
    """A difference in IoU between rows, paired by seed; nan where no seed is shared, or none is taken."""

    seeds: int
    """Seeds that all of these rows have."""
    miou: float
    """Mean over these seeds."""
    miou_ci: float
    """Half-width of its 95 % Student-t interval, nan for fewer than two seeds."""
    p: float = math.nan
    """Of the paired t-test, adjusted for all that are tested with it by Holm's method, and for the looks of a race."""
    detectable: float = math.nan
    """The smallest true difference that these seeds find with 80 % power, among all that are tested."""
    sign_flip: float = math.nan
    """p of the sign-flip test, adjusted likewise; nan where the seeds are too few for 0.05 even if all signs agree."""
    bootstrap: Bounds = NO_BOUNDS
    """The 95 % BCa interval, where there are seeds enough for it, and no race decided how many."""

    @property
    def told(self) -> bool:
        """Whether it is told from chance: by its p, and by a size that is no luck of a few seeds that lie close."""
        return self.p <= LEVEL and abs(self.miou) >= self.detectable


NO_DIFFERENCE = Difference(0, math.nan, math.nan)


@dataclass(frozen=True)
class Detectable:
    """What the seeds of a table can show of differences to its reference."""

    seeds: int
    comparisons: int
    deviation: float
    """Standard deviation between seeds of a paired difference, pooled over the rows."""
    difference: float
    """The smallest true difference that is found with 80 % power; nan for one seed."""
    looks: int = 1
    """How often a race looks at the rows."""

    @property
    def tests(self) -> int:
        """What the level is divided by: every comparison at every look."""
        return self.comparisons * self.looks


@dataclass(frozen=True)
class Comparison:
    """A row beside others."""

    to_reference: Difference
    to_best: Difference
    """To the best of the rows of equal budget, for those rows; none for the best."""
    is_best: bool
    """Whether it has the highest mean of these, of several, over the seeds that all of them have."""
    ranks: Ranks
    """Among the rows of equal budget."""
    improvement: float
    """How often one of its runs scores above one of the reference's, of all pairs, in [0, 1]."""
    gap: Share
    """How much it closes of the gap between source only and target supervised."""
    classes: tuple[Difference, ...]
    """To the reference, in the IoU of each group of classes."""


def compared(
    scores: Mapping[str, BySeed],
    by_class: Mapping[str, Mapping[int, Sequence[float]]],
    number: int,
    reference: str,
    ranked: Sequence[str],
    bounds: tuple[str, str] | None,
    looks: int = 1,
) -> dict[str, Comparison]:
    """Every row's comparison, by arm: of mIoU, and of the IoU of a number of classes, by arm and seed.

    `ranked` are the rows of equal budget, and `bounds` the arms between which the gap lies: the one without adaptation,
    and the one that knows the target's labels. `looks` is how often a race looks at the rows.
    """
    to_reference = _to_reference(scores, reference, looks)
    equals = {name: scores[name] for name in ranked if scores[name]}
    pairs = _of_pairs(equals, looks)
    best = _best(equals) if len(equals) > 1 else None
    to_best = {} if best is None else _to_best(equals, pairs, best, looks)
    places = _ranks(equals, pairs)
    classes = _by_class(by_class, number, reference, looks)
    return {
        name: Comparison(
            to_reference=to_reference[name],
            to_best=to_best.get(name, NO_DIFFERENCE),
            is_best=name == best,
            ranks=places.get(name, UNRANKED),
            improvement=math.nan
            if name == reference
            else probability_of_improvement([*scores[name].values()], [*scores[reference].values()]),
            gap=NO_SHARE if bounds is None or name in bounds else _share(scores, name, bounds, looks),
            classes=classes[name],
        )
        for name in scores
    }


def placed(scores: Mapping[str, BySeed], looks: int = 1) -> dict[str, Ranks]:
    """The ranks that the seeds leave rows of equal budget, by arm; of those that have scores."""
    scored = {name: runs for name, runs in scores.items() if runs}
    return _ranks(scored, _of_pairs(scored, looks))


def detectable(scores: Mapping[str, BySeed], reference: str, seeds: int, looks: int = 1) -> Detectable:
    """What so many seeds can show, by the spread that the rows' differences to the reference have."""
    samples = [paired(scores[name], scores[reference]) for name in scores if name != reference]
    tested, deviation = max(1, sum(len(sample) > 1 for sample in samples)), pooled(samples)
    return Detectable(seeds, tested, deviation, smallest_difference(deviation, seeds, tested * looks), looks)


def judged(
    samples: Mapping[Key, Sequence[float]], alike: Callable[[Key], Hashable] = lambda key: None, looks: int = 1
) -> dict[Key, Difference]:
    """Differences that are tested together, each by its values of shared seeds.

    What they can show follows from the spread that all of them have, or those that are `alike`. Where a race looks at
    them several times, each look has its share of the level (Bonferroni): all of them are wrong anywhere with a chance
    of 5 % at most, however the looks decide.
    """
    p_values = holm({key: paired_t(sample) for key, sample in samples.items()}, looks)
    tested = sum(not math.isnan(p) for p in p_values.values())
    kinds: dict[Hashable, list[Sequence[float]]] = {}
    for key, sample in samples.items():
        kinds.setdefault(alike(key), []).append(sample)
    deviations = {kind: pooled(each) for kind, each in kinds.items()}
    return {
        key: Difference(
            len(sample),
            *interval(sample, looks),
            p=p_values[key],
            detectable=smallest_difference(deviations[alike(key)], len(sample), looks * max(1, tested)),
        )
        for key, sample in samples.items()
    }


def _to_reference(scores: Mapping[str, BySeed], reference: str, looks: int) -> dict[str, Difference]:
    samples = {name: paired(scores[name], scores[reference]) for name in scores if name != reference}
    found, flips = judged(samples, looks=looks), _flipped(samples, looks)
    own = paired(scores[reference], scores[reference])
    return {reference: Difference(len(own), *interval(own, looks))} | {
        name: dataclasses.replace(
            found[name],
            sign_flip=flips[name],
            bootstrap=_bootstrapped(sample, looks),
        )
        for name, sample in samples.items()
    }


def _flipped(samples: Mapping[Key, Sequence[float]], looks: int) -> dict[Key, float]:
    """p of the sign-flip test, adjusted for all samples; nan where they are too small for 0.05 if all signs agree."""
    tested = looks * sum(len(sample) > 1 for sample in samples.values())
    able = {key: len(sample) > 1 and tested * least_sign_flip(len(sample)) <= LEVEL for key, sample in samples.items()}
    if not any(able.values()):
        return dict.fromkeys(samples, math.nan)
    flips = holm({key: sign_flip(sample) if len(sample) > 1 else math.nan for key, sample in samples.items()}, looks)
    return {key: p if able[key] else math.nan for key, p in flips.items()}


def _bootstrapped(sample: Sequence[float], looks: int) -> Bounds:
    """None for the levels of several looks, at which nobody has seen it hold."""
    return bootstrapped(sample) if looks == 1 else NO_BOUNDS


def _of_pairs(scores: Mapping[str, BySeed], looks: int) -> dict[tuple[str, str], Difference]:
    """The differences of all pairs of rows, tested together; each both ways round."""
    samples = {pair: paired(*(scores[name] for name in pair)) for pair in itertools.combinations(scores, 2)}
    flips = _flipped(samples, looks)
    found = {
        pair: dataclasses.replace(each, sign_flip=flips[pair]) for pair, each in judged(samples, looks=looks).items()
    }
    return found | {(other, one): dataclasses.replace(each, miou=-each.miou) for (one, other), each in found.items()}


def _ranks(scores: Mapping[str, BySeed], pairs: Mapping[tuple[str, str], Difference]) -> dict[str, Ranks]:
    return ranks([*scores], [pair for pair, each in pairs.items() if each.told and each.miou > 0])


def _best(scores: Mapping[str, BySeed]) -> str:
    """The row of the highest mean over the seeds that all have: one that has others may have had easier ones."""
    shared = set.intersection(*({*own} for own in scores.values()))
    means = {
        name: interval([value for seed, value in own.items() if seed in shared or not shared])[0]
        for name, own in scores.items()
    }
    return max(means, key=lambda name: means[name])


def _to_best(
    scores: Mapping[str, BySeed], pairs: Mapping[tuple[str, str], Difference], best: str, looks: int
) -> dict[str, Difference]:
    """Differences to the best row. It was found in the same numbers: all pairs are adjusted for."""
    return {
        name: dataclasses.replace(pairs[name, best], bootstrap=_bootstrapped(paired(scores[name], scores[best]), looks))
        for name in scores
        if name != best
    }


def paired(one: BySeed, other: BySeed) -> list[float]:
    """The differences of two rows on the seeds that both have, in their order."""
    return [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]


def _share(scores: Mapping[str, BySeed], name: str, bounds: tuple[str, str], looks: int) -> Share:
    lower, upper = (scores[bound] for bound in bounds)
    seeds = sorted(scores[name].keys() & lower.keys() & upper.keys())
    gains, gaps = ([row[seed] - lower[seed] for seed in seeds] for row in (scores[name], upper))
    return share(gains, gaps, looks)


def _by_class(
    by_class: Mapping[str, Mapping[int, Sequence[float]]], number: int, reference: str, looks: int
) -> dict[str, tuple[Difference, ...]]:
    """All classes of all rows are tested together; what can be shown of a class follows from its own spread."""
    samples = {
        (name, place): [
            difference
            for difference in paired(_one(by_class[name], place), _one(by_class[reference], place))
            if not math.isnan(difference)
        ]
        for name in by_class
        if name != reference
        for place in range(number)
    }
    found = judged(samples, alike=lambda key: key[1], looks=looks)
    return {name: tuple(found.get((name, place), NO_DIFFERENCE) for place in range(number)) for name in by_class}


def _one(runs: Mapping[int, Sequence[float]], place: int) -> dict[int, float]:
    return {seed: iou[place] for seed, iou in runs.items()}
