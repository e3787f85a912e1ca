"""Selection by how well predicted classes agree with clusters of features."""

from dataclasses import dataclass
from typing import ClassVar

from platform.scores.evidence import Evidence
from platform.scores.selectors.clusters.grouping import contingency, entropy_of
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class VMeasure(Selector):
    """2 I(k; c) / (H(k) + H(c)), in [0, 1]: k the k-means cluster of a sample's features, c its class.

    A sample's class is its label on the source, and what is predicted on the target. Rosenberg and Hirschberg, EMNLP
    2007; first of the selectors in classification (Ericsson et al., AutoML 2023, arXiv:2309.03879: weighted Spearman
    0.65). Departure: as many clusters as the source's labels show classes. Cost: k-means of 1,536 samples. Known
    failure: streets are mostly road, building and sky, which k-means cuts into several clusters; which ones it finds
    depends on where it begins, and scores differ by that as much as those of a study's finished trials do.
    """

    name: ClassVar[str] = "both/v_measure"

    def score(self, evidence: Evidence) -> float:
        counts = contingency(evidence)
        clusters, classes = entropy_of(counts.sum(axis=1)), entropy_of(counts.sum(axis=0))
        information = clusters + classes - entropy_of(counts.ravel())
        return 2 * information / (clusters + classes) if clusters + classes > 0 else 0.0
