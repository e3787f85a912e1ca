"""Selection by being sure of each place and different between places."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from platform.scores.evidence import Evidence
from platform.scores.selectors.selector import Selector
from platform.shifts.labels import NUM_CLASSES


@dataclass(frozen=True, kw_only=True)
class InformationMaximisation(Selector):
    """(H(mean p) - mean H(p)) / log C, in [0, 1]: the mutual information of place and predicted class.

    Musgrave et al., arXiv:2208.07360, after Shi and Sha, ICML 2012; weighted Spearman 0.36 in classification (Ericsson
    et al., AutoML 2023, arXiv:2309.03879). Cost: none. Known failure: it takes classes to be equally frequent: a
    network that sees too much of a rare class is thought better for it.
    """

    name: ClassVar[str] = "target/information"

    def score(self, evidence: Evidence) -> float:
        p = np.maximum(evidence.target.mean, 1e-300)
        return float(-(p * np.log(p)).sum() - evidence.target.entropy) / math.log(NUM_CLASSES)
