"""Selection by the nuclear norm of the target's predictions."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from platform.scores.evidence import Evidence
from platform.scores.selectors.selector import Selector
from platform.shifts.labels import NUM_CLASSES


@dataclass(frozen=True, kw_only=True)
class NuclearNorm(Selector):
    """||P||_* / sqrt(n C) = sum_k sqrt(eig_k(P^T P / n)) / sqrt(C), in (0, 1], P the n x C matrix of probabilities.

    1 for n places that are all sure, and C classes that are equally frequent. Deng et al., ICML 2023,
    arXiv:2302.01094; times a constant it is the batch nuclear norm of Cui et al., CVPR 2020, arXiv:2003.12237 (BNM), so
    that both rank alike. Exact over all places, by C x C sums. Cost: one eigenproblem of that size. Known failure: it
    rewards rare classes as if they were frequent, as information maximisation does, by their square root.
    """

    name: ClassVar[str] = "target/nuclear_norm"

    def score(self, evidence: Evidence) -> float:
        values = np.linalg.eigvalsh(evidence.target.products)
        return float(np.sqrt(np.maximum(values, 0.0)).sum() / np.sqrt(NUM_CLASSES))
