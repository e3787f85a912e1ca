"""Selection by agreement with the other trials."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from platform.scores.evidence import Evidence
from platform.scores.selectors.consistency.agreement import pseudo_miou
from platform.scores.selectors.selector import Selector
from platform.shifts.labels import NUM_CLASSES


@dataclass(frozen=True, kw_only=True)
class Committee(Selector):
    """Mean mIoU between a trial's predictions of target images and those of each other candidate, in [0, 1].

    Ours; what remains of agreement-on-the-line (Baek et al., NeurIPS 2022, arXiv:2206.13089) where all candidates are
    to be ranked on one domain. 0 for a single candidate. Cost: the maps of all candidates, two by two. Known failure:
    a herd that errs together.
    """

    name: ClassVar[str] = "population/committee"

    def scores(self, candidates: Sequence[Evidence]) -> list[float]:
        maps = [each.maps.ravel().astype(np.int64) for each in candidates]
        agreement = np.zeros((len(maps), len(maps)))
        for first, second in zip(*np.triu_indices(len(maps), 1), strict=True):
            cells = np.bincount(maps[first] * NUM_CLASSES + maps[second], minlength=NUM_CLASSES**2)
            agreement[first, second] = agreement[second, first] = pseudo_miou(cells.reshape(NUM_CLASSES, NUM_CLASSES))
        return list((agreement.sum(axis=1) / max(len(maps) - 1, 1)).tolist())
