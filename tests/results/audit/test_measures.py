"""How well scores rank: against the definition, term by term; and what is lost by choosing with them."""

import dataclasses
import math
import random
from collections.abc import Callable, Sequence

import pytest

from platform.results.audit.measures import LEAST_ROWS, Pool, Regret, regret, weighted_spearman

# The correlation


def by_definition(scores: Sequence[float], worth: Sequence[float]) -> float:
    """Musgrave et al., arXiv:2208.07360, appendix: dense ranks, their weights, weighted ranks, weighted Pearson."""
    ranks = [[sorted(set(values)).index(value) + 1 for value in values] for values in (scores, worth)]
    shares = [[rank / max(listed) for rank in listed] for listed in ranks]
    weight = [max(one, other) ** 2 for one, other in zip(shares[0], shares[1], strict=True)]
    first, second = (
        [
            sum(w for other, w in zip(values, weight, strict=True) if other < value)
            + (sum(other == value for other in values) + 1)
            / 2
            * sum(w for other, w in zip(values, weight, strict=True) if other == value)
            / sum(other == value for other in values)
            for value in values
        ]
        for values in (scores, worth)
    )

    def mean(values: Sequence[float]) -> float:
        return sum(w * value for w, value in zip(weight, values, strict=True)) / sum(weight)

    def covariance(left: Sequence[float], right: Sequence[float]) -> float:
        products = [(a - mean(left)) * (b - mean(right)) for a, b in zip(left, right, strict=True)]
        return mean(products)

    return covariance(first, second) / math.sqrt(covariance(first, first) * covariance(second, second))


@pytest.mark.parametrize("seed", range(40))
def test_the_correlation_is_that_of_the_definition(seed: int) -> None:
    draw = random.Random(seed)
    number, levels = draw.randint(2, 12), draw.choice([2, 4, 1000])
    scores, worth = ([*range(2), *(draw.randrange(levels) for _ in range(number))] for _ in range(2))
    draw.shuffle(worth)
    assert weighted_spearman(scores, worth) == pytest.approx(by_definition(scores, worth), abs=1e-12)


def test_an_equal_order_is_1_with_ties_and_without() -> None:
    for order in ([1.0, 2.0, 3.0], [0.0, 0.0, 7.0, 7.0, 8.0]):
        assert weighted_spearman(order, [value**3 for value in order]) == pytest.approx(1)


def test_a_reversed_order_is_nearly_minus_1() -> None:
    """The weights keep it from -1: the ends of both rankings weigh more than the middle."""
    for number in (3, 5, 20):
        assert -1 < weighted_spearman(range(number), range(number, 0, -1)) < -0.94


@pytest.mark.parametrize("scores", [[0.1], [0.1, 0.2], [0.2, 0.1]])
def test_two_points_have_no_correlation(scores: list[float]) -> None:
    assert math.isnan(weighted_spearman(scores, sorted(scores)))


@pytest.mark.parametrize("values", [[0.5] * 3, [0.5] * 8])
def test_what_ranks_nothing_has_no_correlation(values: list[float]) -> None:
    other = [float(number) for number in range(len(values))]
    assert math.isnan(weighted_spearman(values, other))
    assert math.isnan(weighted_spearman(other, values))


@pytest.mark.parametrize("change", [math.exp, lambda value: 100 * value - 3, lambda value: value**3])
def test_only_the_order_of_values_counts(change: Callable[[float], float]) -> None:
    draw = random.Random(1)
    scores, worth = ([draw.choice([draw.gauss(0, 1), 0.5]) for _ in range(15)] for _ in range(2))
    before = weighted_spearman(scores, worth)
    assert weighted_spearman([change(score) for score in scores], worth) == before
    assert weighted_spearman(scores, [change(value) for value in worth]) == before
    assert weighted_spearman(worth, scores) == pytest.approx(before)


def test_a_mistake_at_the_top_costs_more_than_one_at_the_bottom() -> None:
    worth = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    top, bottom = [1, 2, 3, 4, 6, 5], [2, 1, 3, 4, 5, 6]
    assert weighted_spearman(top, worth) < weighted_spearman(bottom, worth) < 1


# One pool


def pool(scores: tuple[float, ...], worth: tuple[float, ...], row: str = "FDA") -> Pool:
    """What is chosen from within a row."""
    return Pool("study", (row,) * len(scores), scores, worth)


def test_the_choice_is_the_highest_score_of_equals_the_first() -> None:
    made = pool((1.0, 3.0, 3.0), (0.9, 0.2, 0.5))
    assert made.choice == 1
    assert made.regret == pytest.approx(0.7)
    assert made.is_worst


def test_the_choice_of_one_of_the_best_costs_nothing() -> None:
    made = pool((0.0, 2.0, 1.0), (0.5, 0.5, 0.1))
    assert (made.regret, made.is_worst) == (0, False)


def test_a_choice_as_bad_as_another_is_the_worst_unless_all_are_alike() -> None:
    assert pool((0.0, 1.0, 0.0), (0.2, 0.2, 0.3)).is_worst
    assert not pool((0.0, 1.0), (0.2, 0.2)).is_worst


# Many pools


def drawn(pools: int, size: int, seed: int = 0, noise: float = 0.1) -> list[Pool]:
    """Pools whose scores follow the worth, more or less."""
    draw = random.Random(seed)
    made = []
    for number in range(pools):
        worth = tuple(0.3 + 0.1 * draw.random() for _ in range(size))
        made.append(pool(tuple(value + draw.gauss(0, noise) for value in worth), worth, f"row {number}"))
    return made


def of(pools: Sequence[Pool]) -> Regret:
    found = regret(pools)
    assert found is not None
    return found


def test_regret_is_the_mean_over_pools_and_says_the_largest_and_how_often_the_worst() -> None:
    pools = [
        pool((1.0, 2.0, 3.0), (0.1, 0.2, 0.3)),
        pool((1.0, 2.0, 3.0), (0.4, 0.3, 0.2)),
        pool((1.0, 3.0, 2.0), (0.1, 0.3, 0.4)),
    ]
    found = of(pools)
    assert (found.pools, found.worst) == (3, 1)
    assert found.mean == pytest.approx((0 + 0.2 + 0.1) / 3)
    assert found.largest == pytest.approx(0.2)
    assert found.spearman == pytest.approx(sum(weighted_spearman(p.scores, p.worth) for p in pools) / 3)


def test_pools_of_one_leave_nothing_to_choose() -> None:
    assert regret([]) is None
    assert regret([pool((1.0,), (0.5,)), pool((), ())]) is None
    alone = of([pool((1.0, 0.0), (0.1, 0.5))])
    assert of([pool((1.0,), (0.5,)), pool((1.0, 0.0), (0.1, 0.5))]) == alone


def test_pools_that_rank_nothing_are_left_out_of_the_correlation_alone() -> None:
    alike = pool((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    found = of([alike, pool((1.0, 2.0, 3.0), (0.1, 0.2, 0.3)), pool((2.0, 1.0), (0.1, 0.3))])
    assert found.spearman == pytest.approx(1)
    assert found.mean == pytest.approx(0.4 / 3)
    assert math.isnan(of([alike]).spearman)


def test_the_interval_is_the_same_whenever_it_is_asked_for() -> None:
    pools = drawn(7, 5)
    assert regret(pools) == regret(list(pools))


def test_a_selector_that_is_never_wrong_has_an_interval_of_no_width() -> None:
    found = of([dataclasses.replace(each, scores=each.worth) for each in drawn(9, 6)])
    assert (found.mean, found.low, found.high, found.largest, found.worst) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("rows", [LEAST_ROWS, 13, 40])
def test_the_interval_of_pools_of_a_row_each_is_the_bootstrap_of_their_mean(rows: int) -> None:
    pools = drawn(rows, 5)
    regrets = [each.regret for each in pools]
    draw = random.Random(1)
    means = sorted(sum(draw.choices(regrets, k=rows)) / rows for _ in range(4000))
    found = of(pools)
    spread = means[3900] - means[99]
    assert found.low == pytest.approx(means[99], abs=0.1 * spread)
    assert found.high == pytest.approx(means[3900], abs=0.1 * spread)
    assert found.low < found.mean < found.high


def test_what_is_lost_alike_in_every_row_has_an_interval_of_no_width() -> None:
    found = of([pool((1.0, 0.0), (0.2, 0.3), f"row {number}") for number in range(8)])
    assert (found.low, found.mean, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_few_rows_have_no_interval_however_many_pools() -> None:
    found = of([pool((1.0, 0.0), (0.2, 0.3 + number / 100), f"row {number % 5}") for number in range(40)])
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.mean > 0


def test_seeds_of_a_row_are_no_more_evidence_than_the_row() -> None:
    once = drawn(9, 6)
    assert (of(once).low, of(once).high) == pytest.approx((of(once * 5).low, of(once * 5).high))


def test_a_pool_of_many_rows_is_what_is_chosen_from_the_rows_that_are_drawn() -> None:
    """The choice is the worst, where its row is drawn, in 1 - (5/6)^6 = 67 of 100; of the others each costs nothing."""
    whole = Pool("study", tuple("abcdef"), (9.0, 1, 1, 1, 1, 1), (0.2, *[0.5] * 5))
    found = of([whole])
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.0, 0.3))
    sure = of([dataclasses.replace(whole, scores=whole.worth)])
    assert (sure.mean, sure.low, sure.high) == (0, 0, 0)


def test_rows_are_drawn_again_within_their_study() -> None:
    """Two studies of three rows each, in one of which nothing is ever lost: the mean never leaves its half."""
    lost = [pool((1.0, 0.0), (0.0, 0.4), f"row {number}") for number in range(3)]
    none = [dataclasses.replace(each, study="other", scores=each.worth) for each in lost]
    found = of([*lost, *none])
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))


def test_fewer_pools_say_less() -> None:
    few, many = of(drawn(LEAST_ROWS, 10)), of(drawn(64, 10))
    assert many.high - many.low < few.high - few.low
