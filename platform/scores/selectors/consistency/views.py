"""Selection by predictions that stay as they are when images are flipped or enlarged."""

from dataclasses import dataclass
from typing import ClassVar

from platform.scores.evidence import Evidence
from platform.scores.selectors.consistency.agreement import pseudo_miou
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class ViewConsistency(Selector):
    """Mean of the mIoU between predictions of target images and of their mirror images, and of their middles at 4/3.

    Ours, after the consistency that test-time augmentation rests on. Cost: two passes of the target images that are
    predicted again. Known failure: a constant prediction is consistent.
    """

    name: ClassVar[str] = "target/view_consistency"

    def score(self, evidence: Evidence) -> float:
        return (pseudo_miou(evidence.flipped.counts) + pseudo_miou(evidence.zoomed.counts)) / 2
