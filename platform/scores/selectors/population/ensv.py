"""Selection by agreement with the mean prediction of all trials."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from platform.scores.evidence import Evidence
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class EnsV(Selector):
    """The share of target samples at which a trial predicts the class of the mean softmax of all candidates, in [0, 1].

    Hu et al., NeurIPS 2024 (Datasets and Benchmarks), who prove that it avoids the worst candidate, which eight earlier
    selectors do not in classification. 1 for a single candidate. Cost: the samples of all candidates. Known failure:
    candidates that are alike.
    """

    name: ClassVar[str] = "population/ensv"

    def scores(self, candidates: Sequence[Evidence]) -> list[float]:
        if not candidates:
            return []
        mean = np.sum([each.target.probabilities for each in candidates], axis=0)
        vote = mean.argmax(axis=1)
        return [float((each.target.logits.argmax(axis=1) == vote).mean()) for each in candidates]
