"""Selection by predictions that noise does not change."""

from dataclasses import dataclass
from typing import ClassVar

from platform.scores.evidence import Evidence
from platform.scores.selectors.consistency.agreement import share_equal
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class ConsistencyTransferability(Selector):
    """1 - Hamming distance between predictions of target images and of the same under Gaussian noise, in [0, 1].

    Talks et al., arXiv:2503.00450 (the hard variant of CTE), who find it to rank models for segmentation, also adapted
    ones, in biology. Departures: noise of standard deviation 16 of 255 grey levels alone; all places count, where they
    take those that are foreground in either, since streets have no background. Cost: one pass of the target images that
    are predicted again. Known failure: a constant prediction is consistent.
    """

    name: ClassVar[str] = "target/cte"

    def score(self, evidence: Evidence) -> float:
        return share_equal(evidence.disturbed.counts)
