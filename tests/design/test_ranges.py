"""Ranges, and what Optuna makes of them."""

import math
import pickle
import random

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from platform.design.ranges import Dimension, Integers, LogUniform, OneOf, Range, Uniform, range_of
from platform.methods import FDA
from platform.networks import BiSeNet18
from platform.records.plain import recorded
from platform.search import space

CONTINUA = (Uniform(0.1, 0.9), LogUniform(1e-4, 0.1))
FINITE = (Integers(2, 7), Integers(1, 64, log=True), OneOf("none", "flip"), OneOf(0.1, 0.2, 0.5), OneOf(False, True))


def beta(range_: Range, shorter: int) -> Dimension:
    """FDA's beta, searched over its band in images whose shorter side is given."""
    return Dimension(range_, FDA.integer("beta", (shorter, 2 * shorter)))


@pytest.mark.parametrize(
    ("range_", "distribution"),
    [
        (Uniform(0.1, 0.9), FloatDistribution(0.1, 0.9)),
        (LogUniform(1e-4, 0.1), FloatDistribution(1e-4, 0.1, log=True)),
        (Integers(2, 7), IntDistribution(2, 7)),
        (Integers(1, 64, log=True), IntDistribution(1, 64, log=True)),
        (OneOf("none", "flip"), CategoricalDistribution(("none", "flip"))),
    ],
)
def test_a_range_is_a_distribution_of_optuna(
    range_: Range, distribution: FloatDistribution | IntDistribution | CategoricalDistribution
) -> None:
    assert space.distribution(Dimension(range_, None)) == distribution


@pytest.mark.parametrize("range_", [*CONTINUA, *FINITE], ids=str)
def test_a_range_reads_as_it_is_written(range_: Range) -> None:
    assert eval(repr(range_)) == range_
    assert range_of(str(range_)) == range_
    assert str(range_) == repr(range_)
    assert pickle.loads(pickle.dumps(range_)) == range_


def test_of_listed_networks_a_record_says_the_calls() -> None:
    networks = OneOf(BiSeNet18(width=0.25), BiSeNet18(width=0.5))
    assert range_of(str(networks)) == OneOf(*map(recorded, networks.values))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fixed",
        "Uniform",
        "Uniform(1)",
        "Uniform(2, 1)",
        "Uniform(0, 'x')",
        "Uniform(0, x)",
        "OneOf(*'ab')",
        "OneOf([1], [2])",
        "Range(0, 1)",
        "__import__('os').getcwd()",
        "Uniform(0, 1, **{})",
        "Integers(1, 4, base=2)",
        "-" * 100_000 + "1",
        "Uniform(0, 1",
    ],
)
def test_a_text_that_says_no_range_is_none(text: str) -> None:
    assert range_of(text) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(0.5, 0.5), r"Uniform\(0.5, 0.5\) is empty: its low end must lie below its high end"),
        (lambda: Uniform(2, 1), "is empty: .*; swap its ends"),
        (lambda: LogUniform(0.1, 0.01), "is empty"),
        (lambda: Integers(4, 4), "is empty"),
        (lambda: Uniform(math.nan, 1), "must have finite numbers as ends, got nan"),
        (lambda: Uniform(0, math.nan), "must have finite numbers as ends, got nan"),
        (lambda: LogUniform(1, math.inf), "must have finite numbers as ends, got inf"),
        (lambda: Uniform(-math.inf, 1), "must have finite numbers as ends, got -inf"),
        (lambda: Uniform("low", 1), "must have finite numbers as ends, got 'low'; write it without quotes"),  # type: ignore[arg-type]
        (lambda: Integers(False, 3), "must have finite numbers as ends, got False"),
        (lambda: LogUniform(0, 1), "must begin above 0"),
        (lambda: LogUniform(-1, 1), "must begin above 0"),
        (lambda: Integers(1, 2.5), "must have whole ends"),  # type: ignore[arg-type]
        (lambda: Integers(0, 8, log=True), "must begin at 1 or above"),
        (lambda: OneOf(), r"OneOf\(\) must list at least two values, got 0"),
        (lambda: OneOf(3), "must list at least two values, got 1"),
        (lambda: OneOf(3, 4, 3), "lists a value twice"),
        (lambda: OneOf([1], [2]), "must list numbers, truth values, texts or networks"),
    ],
)
def test_a_range_that_holds_nothing_sensible_is_refused(make: type[Range], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("range_", CONTINUA, ids=str)
def test_a_continuum_holds_its_ends_and_no_value_beyond(range_: Range) -> None:
    dimension = Dimension(range_, None)
    low, high = range_.ends()
    assert dimension.proposals() is None
    assert dimension.holds(low)
    assert dimension.holds(high)
    assert not dimension.holds(math.nextafter(low, -1))
    assert not dimension.holds(math.nextafter(high, 1))


@pytest.mark.parametrize(
    ("range_", "proposals", "outside"),
    [
        (Integers(2, 5), [2, 3, 4, 5], [1, 6]),
        (OneOf("none", "flip"), ["none", "flip"], ["crop"]),
        (OneOf(False, True), [False, True], []),
    ],
    ids=str,
)
def test_a_finite_range_holds_what_it_proposes(
    range_: Range, proposals: list[int | str], outside: list[int | str]
) -> None:
    dimension = Dimension(range_, None)
    values = dimension.proposals()
    assert values is not None
    assert list(values) == proposals
    assert all(dimension.holds(value) and dimension.value(dimension.proposal(value)) == value for value in values)
    assert not any(dimension.holds(value) for value in outside)


def test_a_large_range_is_not_listed() -> None:
    proposals = Dimension(Integers(1, 10**12), None).proposals()
    assert proposals is not None
    assert len(proposals) == 10**12


def random_ranges() -> list[tuple[Range, int]]:
    """Ranges of beta of both kinds, with the shorter sides of the images."""
    draw = random.Random(0)
    cases: list[tuple[Range, int]] = []
    for shorter in (32, 64, 96, 100, 360, 512, 720):
        for kind in (LogUniform, Uniform):
            for _ in range(6):
                low, high = sorted(10 ** draw.uniform(-3.5, -0.31) for _ in range(2))
                cases.append((kind(low, high), shorter))
            cases.append((kind(5 / shorter, 12 / shorter), shorter))  # ends on the bands' edges
            cases.append((kind(1e-5, 0.499), shorter))
    return [*cases, (Uniform(0.0, 0.1), 64)]


@pytest.mark.parametrize(("range_", "shorter"), random_ranges(), ids=str)
def test_proposals_of_beta_are_the_bands_of_its_range(range_: Range, shorter: int) -> None:
    low, high = range_.ends()
    dimension = beta(range_, shorter)
    proposals = dimension.proposals()
    assert proposals is not None
    values = [dimension.value(proposed) for proposed in proposals]
    bands = [math.floor(value * shorter) for value in values]
    # The oracle: bands of many betas in the range, both ends among them.
    assert bands == sorted({math.floor(value * shorter) for value in [*np.linspace(low, high, 5000), low, high]})
    assert all(low <= value <= high for value in values)
    assert [dimension.proposal(value) for value in values] == list(proposals)
    assert all(dimension.holds(value) for value in values)
    assert not dimension.holds((bands[0] - 1) / shorter)
    assert not dimension.holds((bands[-1] + 1) / shorter + 1e-9)


@pytest.mark.parametrize("sampler", [optuna.samplers.RandomSampler(seed=0), optuna.samplers.TPESampler(seed=0)])
@pytest.mark.parametrize("range_", [LogUniform(0.001, 0.12), Uniform(0.02, 0.12)], ids=str)
def test_optuna_reaches_every_band_and_no_other(range_: Range, sampler: optuna.samplers.BaseSampler) -> None:
    dimension = beta(range_, 64)
    study = optuna.create_study(sampler=sampler)
    reached = set()
    for _ in range(150):
        trial = study.ask({"beta": space.distribution(dimension)})
        reached.add(math.floor(dimension.value(trial.params["beta"]) * 64))
        study.tell(trial, 0.0)
    assert reached == set(range(math.floor(range_.ends()[0] * 64), 8))


def test_a_logarithmic_range_from_band_0_gives_small_bands_their_share() -> None:
    dimension = beta(LogUniform(0.001, 0.49), 64)
    assert space.distribution(dimension) == IntDistribution(1, 32, log=True)
    assert dimension.value(1) == 0.001, "band 0 at a beta that the range holds"
    assert dimension.proposal(0.001) == 1


def test_listed_betas_stay_what_the_study_lists() -> None:
    dimension = beta(OneOf(0.01, 0.05, 0.051, 0.09), 64)
    assert list(dimension.proposals() or ()) == [0, 3, 5], "0.05 and 0.051 are one band"
    assert [dimension.value(proposed) for proposed in (0, 3, 5)] == [0.01, 0.05, 0.09]
    assert dimension.holds(0.047), "a default of the same band trains the same"
    assert not dimension.holds(0.02)
