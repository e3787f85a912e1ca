"""Selection by the mean square of the target's probabilities."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from platform.scores.evidence import Evidence
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class MaxSquare(Selector):
    """Mean over the target's places of sum_c p_c^2, in [1/C, 1].

    Chen, Xue and Cai, ICCV 2019, arXiv:1909.13589, where half of it is a loss; here it selects. Cost: none. Known
    failure: that of the entropy, with less weight on places of which the network is nearly sure.
    """

    name: ClassVar[str] = "target/max_square"

    def score(self, evidence: Evidence) -> float:
        return float(np.trace(evidence.target.products))
