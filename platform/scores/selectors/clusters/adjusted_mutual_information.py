"""Selection by the mutual information of predicted classes and clusters of features, corrected for chance."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int64

from platform.scores.evidence import Evidence
from platform.scores.selectors.clusters.grouping import contingency, entropy_of
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class AdjustedMutualInformation(Selector):
    """(I - E[I]) / ((H(k) + H(c)) / 2 - E[I]): k the k-means cluster of a sample's features, c its class.

    A sample's class is its label on the source, and what is predicted on the target; E is over random tables with the
    same margins. Vinh, Epps and Bailey, JMLR 2010; among the best of Musgrave et al., arXiv:2208.07360 (ClassAMI), and
    of Ericsson et al., AutoML 2023, arXiv:2309.03879 (weighted Spearman 0.62). Departure: as `VMeasure`. Cost: k-means
    of 1,536 samples and one sum over tables. Known failure: as `VMeasure`.
    """

    name: ClassVar[str] = "both/ami"

    def score(self, evidence: Evidence) -> float:
        counts = contingency(evidence)
        clusters, classes = counts.sum(axis=1), counts.sum(axis=0)
        classes = classes[classes > 0]
        mean_entropy = (entropy_of(clusters) + entropy_of(classes)) / 2
        information = 2 * mean_entropy - entropy_of(counts.ravel())
        expected = expected_information(clusters[clusters > 0], classes)
        return (information - expected) / (mean_entropy - expected) if mean_entropy - expected > 1e-12 else 0.0


def expected_information(rows: Int64[np.ndarray, " rows"], columns: Int64[np.ndarray, " columns"]) -> float:
    """The mean mutual information, in nats, of random tables whose rows and columns have these sums.

    sum over cells and n of n/N log(N n / (a b)) * a! b! (N-a)! (N-b)! / (N! n! (a-n)! (b-n)! (N-a-b+n)!).
    """
    total = int(rows.sum())
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    a, b = np.repeat(rows, len(columns)), np.tile(columns, len(rows))
    least, most = np.maximum(1, a + b - total), np.minimum(a, b)
    number = np.maximum(most - least + 1, 0)
    a, b = np.repeat(a, number), np.repeat(b, number)
    n = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number) + np.repeat(least, number)
    log_probability = (
        factorial[a] + factorial[b] + factorial[total - a] + factorial[total - b]
        - factorial[total] - factorial[n] - factorial[a - n] - factorial[b - n] - factorial[total - a - b + n]
    )  # fmt: skip
    return float((n / total * np.log(total * n / (a * b)) * np.exp(log_probability)).sum())
