"""Selection by how frequent the classes are that are predicted."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from platform.scores.evidence import Evidence
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class PriorDivergence(Selector):
    """-KL(q || m), q the shares of the classes in the source's val labels, m the mean probability on the target.

    Classes that the source never shows are left out. Ours: nobody published it. Cost: none. Known failure: it wants the
    target's classes to be as frequent as the source's, and does not see where they are predicted: anything drawn from
    the prior scores 0, its best.
    """

    name: ClassVar[str] = "target/prior_divergence"

    def score(self, evidence: Evidence) -> float:
        prior, mean = evidence.source_prior, np.maximum(evidence.target.mean, 1e-12)
        there = prior > 0
        return -float((prior[there] * np.log(prior[there] / mean[there])).sum())
