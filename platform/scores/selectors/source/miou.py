"""Selection by the mIoU on the source: what is done where nothing better is known."""

from dataclasses import dataclass
from typing import ClassVar

from platform.records.record import SOURCE_MIOU
from platform.scores.evidence import Evidence
from platform.scores.metrics import cityscapes
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class SourceMIoU(Selector):
    """mIoU on the source's val split.

    The custom where nothing better is known (DomainBed, Gulrajani and Lopez-Paz, ICLR 2021, arXiv:2007.01434). Cost:
    none, the evaluation counts it anyway. Known failure: it sees that training helps, and nothing of the target:
    methods that give up accuracy on the source for the target lose, and a collapse of self-training goes unnoticed.
    """

    name: ClassVar[str] = SOURCE_MIOU

    def score(self, evidence: Evidence) -> float:
        return cityscapes(evidence.source_confusion, evidence.groups).miou
