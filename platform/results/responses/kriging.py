"""A score as a function of one field, and how far it is known, from trials that differ in other fields as well.

Kriging whose parameters are averaged over (Handcock, Stein, Technometrics 1993): scores are a constant, a Gaussian
process along the field, and noise, which is all that other fields and the seed do:

    y ~ N(m 1, s^2 V)        V = w K + (1 - w) I        K_ij = exp(-(x_i - x_j)^2 / 2 l^2)

The constant m has a flat prior and the variance s^2 the prior 1 / s^2; both are integrated out. w, the field's share of
the variance, and l, the length over which it acts, are averaged over, each pair weighted by how likely it makes the
scores. So the band is wide where there are few trials, and where several lengths would do. Maximum likelihood takes one
length and one share for the truth, and its bands hold the truth too seldom.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp, stdtrit

LENGTHS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Of a range, which is 1 long."""
SHARES = tuple(tenth / 10 for tenth in range(10))
CONFIDENCE = 0.95
SHUFFLES = 999
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """The score as a function of the field, at some places."""

    mean: tuple[float, ...]
    low: tuple[float, ...]
    """The lower end of the 95 % band."""
    high: tuple[float, ...]
    chance: float
    """How often scores dealt out to the trials by chance look at least as little like a constant: below 0.05 the field
    acts."""


@dataclass(frozen=True)
class _Fit:
    """What one pair of share and length makes of the scores."""

    likelihoods: Values
    """Log marginal likelihood, up to a constant, of the scores and of each shuffle of them."""
    mean: Values
    variance: Values


def response(
    places: Sequence[float], scores: Sequence[float], at: Sequence[float], *, listed: bool = False
) -> Response:
    """The response at some places to three trials or more.

    Places are parts of the range, from 0 to 1; `listed` ones are the numbers of values that have no order.
    """
    x, y, there = (np.asarray(values, np.float64) for values in (places, scores, at))
    scale = y.std()
    if scale < 1e-12 * max(1, abs(y).max()):
        constant = (float(y.mean()),) * len(there)
        return Response(constant, constant, constant, 1.0)
    standard = (y - y.mean()) / scale
    shuffled = np.random.default_rng(0).permuted(np.tile(standard, (SHUFFLES, 1)), axis=1)
    columns = np.vstack([standard, shuffled]).T
    alike = [_equal] if listed else [partial(_near, length) for length in LENGTHS]
    fits = [_fit(kernel(x, x), kernel(x, there), share, columns) for kernel in alike for share in SHARES]
    likelihoods = np.array([fit.likelihoods for fit in fits])
    evidence = logsumexp(likelihoods, axis=0)
    weights = np.exp(likelihoods[:, 0] - evidence[0])
    means, variances = np.array([fit.mean for fit in fits]), np.array([fit.variance for fit in fits])
    mean = weights @ means
    half = stdtrit(len(y) - 1, (1 + CONFIDENCE) / 2) * np.sqrt(weights @ (variances + (means - mean) ** 2))
    low, mean, high = (tuple((y.mean() + scale * line).tolist()) for line in (mean - half, mean, mean + half))
    # A constant's likelihood is that of every shuffle of the scores, so that the evidence alone tells them apart.
    as_unlike = int((evidence[1:] > evidence[0] - 1e-9).sum())
    return Response(mean, low, high, (1 + as_unlike) / (1 + SHUFFLES))


def _near(length: float, one: Values, other: Values) -> Values:
    correlation: Values = np.exp(-(((one[:, None] - other) / length) ** 2) / 2)
    return correlation


def _equal(one: Values, other: Values) -> Values:
    return np.asarray(one[:, None] == other, np.float64)


def _fit(among: Values, to: Values, share: float, columns: Values) -> _Fit:
    """The first column are the scores; K is given `among` the trials, and from them `to` the places."""
    number = len(among)
    root = np.linalg.cholesky(share * among + (1 - share) * np.eye(number))
    ones, given, cross = np.split(
        np.linalg.solve(root, np.hstack([np.ones((number, 1)), columns, share * to])), [1, 1 + columns.shape[1]], axis=1
    )
    precision = float((ones**2).sum())
    constants = (ones.T @ given) / precision
    left = given - ones * constants
    squares = (left**2).sum(axis=0)
    variance = share - (cross**2).sum(axis=0) + (1 - (ones.T @ cross)[0]) ** 2 / precision
    return _Fit(
        likelihoods=-np.log(np.diag(root)).sum() - np.log(precision) / 2 - (number - 1) / 2 * np.log(squares),
        mean=constants[0, 0] + left[:, 0] @ cross,
        variance=squares[0] / (number - 1) * np.maximum(variance, 0.0),
    )
