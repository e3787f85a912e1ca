"""Selection by how sure a network is of the target's pixels."""

import math
from dataclasses import dataclass
from typing import ClassVar

from platform.scores.evidence import Evidence
from platform.scores.selectors.selector import Selector
from platform.shifts.labels import NUM_CLASSES


@dataclass(frozen=True, kw_only=True)
class Entropy(Selector):
    """-mean H(p) / log C, in [-1, 0], over all places of the target's images.

    Morerio et al., ICLR 2018, arXiv:1711.10288, who select by the entropy of the target. Cost: none. Known failure: a
    network that is wrong and sure scores best, and training makes every network surer: it compares trials at one step.
    """

    name: ClassVar[str] = "target/entropy"

    def score(self, evidence: Evidence) -> float:
        return -float(evidence.target.entropy) / math.log(NUM_CLASSES)
