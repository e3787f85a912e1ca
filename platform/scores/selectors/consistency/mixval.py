"""Selection by predictions of mixed images that follow from those of their parts."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from platform.scores.evidence import Evidence
from platform.scores.selectors.consistency.agreement import share_equal
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class MixVal(Selector):
    """Mean of two shares of places where a mixture of two images is predicted as its parts say, in [0, 1].

    Of places where both images are of one class, those where the mixture is of it too; of the other places, those where
    it is of the class of its stronger image. Hu et al., NeurIPS 2023, whose mixtures probe the density within clusters
    and the margin between them; weights 0.55 and 0.45 as there. Departures: their public code is for classification, so
    that it is places that are mixed is ours; the mean of the shares instead of that of ranks. Cost: one pass of half as
    many images as are predicted again. Known failure: a prediction that is nearly constant.
    """

    name: ClassVar[str] = "target/mixval"

    def score(self, evidence: Evidence) -> float:
        different = evidence.mixed.different.sum(axis=0).astype(np.float64)
        between = float(different[0] / max(different.sum(), 1.0))
        return (share_equal(evidence.mixed.same) + between) / 2
