"""Selection by the pixel accuracy on the source."""

from dataclasses import dataclass
from typing import ClassVar

from platform.records.record import SOURCE_ACCURACY
from platform.scores.evidence import Evidence
from platform.scores.metrics import cityscapes
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class SourceAccuracy(Selector):
    """Pixel accuracy on the source's val split.

    Among the most reliable in classification (Ericsson et al., AutoML 2023, arXiv:2309.03879: weighted Spearman 0.50).
    Cost: none. Known failure: as `SourceMIoU`, and road and sky decide it.
    """

    name: ClassVar[str] = SOURCE_ACCURACY

    def score(self, evidence: Evidence) -> float:
        return cityscapes(evidence.source_confusion, evidence.groups).accuracy
