"""The response against the same model by other means: inverses, integrals, every order of the scores, simulation."""

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import integrate, stats

from platform.results.responses import kriging
from platform.results.responses.kriging import response

Values = npt.NDArray[np.float64]


def alone(monkeypatch: pytest.MonkeyPatch, length: float, share: float) -> None:
    """Have one length and one share be all that is averaged over."""
    monkeypatch.setattr(kriging, "LENGTHS", (length,))
    monkeypatch.setattr(kriging, "SHARES", (share,))


def covariance(x: Values, other: Values, length: float) -> Values:
    return np.array([[math.exp(-((a - b) ** 2) / (2 * length**2)) for b in other] for a in x])


def by_inverse(x: Values, y: Values, at: float, length: float, share: float) -> tuple[float, float]:
    """Mean and 95 % half-width of universal kriging with an unknown constant and variance, from an inverse."""
    n, one = len(x), np.ones(len(x))
    inverse = np.linalg.inv(share * covariance(x, x, length) + (1 - share) * np.eye(n))
    to = share * covariance(x, np.array([at]), length)[:, 0]
    constant = (one @ inverse @ y) / (one @ inverse @ one)
    squares = (y - constant) @ inverse @ (y - constant)
    mean = constant + to @ inverse @ (y - constant)
    spread = share - to @ inverse @ to + (1 - one @ inverse @ to) ** 2 / (one @ inverse @ one)
    return float(mean), float(stats.t.ppf(0.975, n - 1) * math.sqrt(squares / (n - 1) * spread))


def some_trials(number: int, seed: int = 0) -> tuple[Values, Values]:
    random = np.random.default_rng(seed)
    x = random.random(number)
    return x, 0.3 + 0.1 * np.sin(4 * x) + random.normal(0, 0.03, number)


@pytest.mark.parametrize(("length", "share"), [(0.1, 0.9), (0.4, 0.5), (1.6, 0.2)])
def test_of_one_length_and_share_the_response_is_universal_kriging(
    length: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch, length, share)
    x, y = some_trials(9)
    found = response(x.tolist(), y.tolist(), [0.0, 0.35, 1.0])
    for place, at in enumerate([0.0, 0.35, 1.0]):
        mean, half = by_inverse(x, y, at, length, share)
        assert found.mean[place] == pytest.approx(mean)
        assert (found.low[place], found.high[place]) == pytest.approx((mean - half, mean + half))


def test_where_the_field_has_no_share_the_band_is_the_interval_of_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch, 0.4, 0.0)
    x, y = some_trials(7)
    found = response(x.tolist(), y.tolist(), [0.1, 0.9])
    low, high = stats.t.interval(0.95, 6, y.mean(), stats.sem(y))
    assert found.mean == pytest.approx([y.mean()] * 2)
    assert (found.low[0], found.high[1]) == pytest.approx((low, high))


def test_lengths_and_shares_weigh_what_the_integrals_over_constant_and_variance_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = some_trials(4)
    y = (y - y.mean()) / y.std()
    pairs = list(itertools.product((0.2, 0.8), (0.0, 0.8)))

    def likelihood(length: float, share: float) -> float:
        matrix = share * covariance(x, x, length) + (1 - share) * np.eye(4)
        constants, log_variances = np.linspace(-40, 40, 4001), np.linspace(-8, 12, 401)
        left = y - constants[:, None]
        squares = np.einsum("ci,ij,cj->c", left, np.linalg.inv(matrix), left)
        scales = np.exp(log_variances)  # ds / s = d log s
        density = np.exp(-squares[:, None] / (2 * scales)) / (scales**2 * math.sqrt(np.linalg.det(matrix)))
        return float(integrate.trapezoid(integrate.trapezoid(density, log_variances), constants))

    weights = np.array([likelihood(*pair) for pair in pairs])
    weights /= weights.sum()
    means = np.array([by_inverse(x, y, 0.35, *pair)[0] for pair in pairs])
    monkeypatch.setattr(kriging, "LENGTHS", (0.2, 0.8))
    monkeypatch.setattr(kriging, "SHARES", (0.0, 0.8))
    found = response(x.tolist(), y.tolist(), [0.35])
    assert found.mean[0] == pytest.approx(weights @ means, abs=1e-3)


def test_listed_values_know_nothing_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch, 0.4, 0.9)
    x, y = np.array([0.0, 0, 0, 1, 1, 1, 2, 2, 2]), np.array([0.2, 0.25, 0.3, 0.5, 0.55, 0.6, 0.2, 0.3, 0.25])
    found = response(x.tolist(), y.tolist(), [0.0, 1.0, 2.0], listed=True)
    matrix = 0.9 * (x[:, None] == x) + 0.1 * np.eye(9)
    constant = y.mean()  # groups of one size
    expected = [constant + 0.9 * (x == value) @ np.linalg.inv(matrix) @ (y - constant) for value in (0, 1, 2)]
    assert found.mean == pytest.approx(expected)
    assert found.high[0] < found.low[1]
    renamed = response([{0: 2, 1: 0, 2: 1}[value] for value in x.tolist()], y.tolist(), [2.0, 0.0, 1.0], listed=True)
    assert renamed.mean == pytest.approx(found.mean), "their order means nothing"


def test_chance_is_the_share_of_all_orders_of_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch, 0.4, 0.6)
    x, y = some_trials(5, seed=3)
    inverse = np.linalg.inv(0.6 * covariance(x, x, 0.4) + 0.4 * np.eye(5))
    one = np.ones(5)

    def squares(order: tuple[float, ...]) -> float:
        """What alone decides the likelihood, where length and share are given: the smaller, the likelier."""
        values = np.array(order)
        left = values - (one @ inverse @ values) / (one @ inverse @ one)
        return float(left @ inverse @ left)

    exact = np.mean([squares(order) <= squares(tuple(y)) + 1e-12 for order in itertools.permutations(y)])
    assert response(x.tolist(), y.tolist(), [0.5]).chance == pytest.approx(exact, abs=0.05)


def test_neither_the_unit_of_the_score_nor_where_it_begins_matters() -> None:
    x, y = some_trials(10)
    at = [0.0, 0.5, 1.0]
    found, other = response(x.tolist(), y.tolist(), at), response(x.tolist(), (100 * y - 7).tolist(), at)
    assert other.mean == pytest.approx([100 * mean - 7 for mean in found.mean])
    assert other.low == pytest.approx([100 * low - 7 for low in found.low])
    assert other.chance == found.chance


def test_scores_that_are_all_equal_tell_of_no_response() -> None:
    found = response([0.1, 0.5, 0.9], [0.25] * 3, [0.0, 1.0])
    assert (found.mean, found.low, found.high, found.chance) == ((0.25, 0.25), (0.25, 0.25), (0.25, 0.25), 1.0)


def test_the_band_is_wide_where_the_search_has_not_been() -> None:
    random = np.random.default_rng(1)
    x = np.concatenate([random.uniform(0.7, 0.9, 14), [0.1]])
    y = -((x - 0.8) ** 2) * 10 + random.normal(0, 0.05, 15)
    found = response(x.tolist(), y.tolist(), [0.4, 0.8])
    widths = [high - low for low, high in zip(found.low, found.high, strict=True)]
    assert widths[0] > 3 * widths[1]


def test_a_field_that_does_nothing_is_found_to_act_in_one_search_of_twenty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kriging, "SHUFFLES", 99)
    random = np.random.default_rng(2)
    found = [response(random.random(8).tolist(), random.random(8).tolist(), [0.5]).chance < 0.05 for _ in range(150)]
    assert np.mean(found) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)


@pytest.mark.parametrize("number", [6, 12])
def test_the_band_holds_the_response_at_about_95_per_cent_of_the_places(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kriging, "SHUFFLES", 1)
    random, at = np.random.default_rng(4), np.linspace(0, 1, 21)
    held = []
    for _ in range(60):
        x, phase = random.random(number), random.uniform(0, 6)
        y = np.sin(3 * x + phase) + random.normal(0, 0.5, number)
        found, true = response(x.tolist(), y.tolist(), at.tolist()), np.sin(3 * at + phase)
        held.append(((np.array(found.low) <= true) & (true <= np.array(found.high))).mean())
    assert 0.88 < np.mean(held) < 0.99
