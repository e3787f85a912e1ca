"""Selection by being sure, different between places, and as frequent as the source says."""

import math
from dataclasses import dataclass
from typing import ClassVar

from platform.scores.evidence import Evidence
from platform.scores.selectors.dispersity.nuclear_norm import NuclearNorm
from platform.scores.selectors.dispersity.prior_divergence import PriorDivergence
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class NormAndPrior(Selector):
    """log(||P||_* / sqrt(n C)) - KL(q || m): nuclear norm and prior divergence, as in their files, at most 0.

    Each is weak where the other is strong: the norm rewards rare classes as if they were frequent, and the divergence
    does not see where classes are. Ours: it was composed on the `town` shift, and docs/science.md says what it was
    worth on photographs, which had no part in that. Cost: that of its parts. Known failure: a target whose classes are
    not as frequent as the source's.
    """

    name: ClassVar[str] = "target/norm_and_prior"

    def score(self, evidence: Evidence) -> float:
        return math.log(max(NuclearNorm().score(evidence), 1e-300)) + PriorDivergence().score(evidence)
