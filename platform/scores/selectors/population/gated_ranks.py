"""Selection by several selectors at once, among trials that have not unlearned the source."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from platform.scores.evidence import Evidence
from platform.scores.selectors.dispersity.information_maximisation import InformationMaximisation
from platform.scores.selectors.dispersity.nuclear_norm import NuclearNorm
from platform.scores.selectors.dispersity.prior_divergence import PriorDivergence
from platform.scores.selectors.selector import Selector
from platform.scores.selectors.source.miou import SourceMIoU

JUDGES = (InformationMaximisation(), NuclearNorm(), PriorDivergence())


@dataclass(frozen=True, kw_only=True)
class GatedRanks(Selector):
    """Mean rank by information, nuclear norm and prior divergence, in [0, 1], less 1 behind the gate.

    Behind it are candidates whose mIoU on the source is below `gate` times that of the best: they have collapsed. It is
    wide, since what adapts well may give up a third of it. Ours, after the remark that no single selector avoids the
    worst case; gate and judges were chosen on trials of the `town` shift. 1/2 for a single candidate. Cost: that of its
    parts. Known failure: ranks say nothing of by how much, and depend on which candidates there are.
    """

    name: ClassVar[str] = "population/gated_ranks"
    gate: float = 0.5

    def scores(self, candidates: Sequence[Evidence]) -> list[float]:
        source = np.array(SourceMIoU().scores(candidates))
        ranks = np.mean([ranked(judge.scores(candidates)) for judge in JUDGES], axis=0)
        return list(np.where(source >= self.gate * source.max(initial=0.0), ranks, ranks - 1).tolist())


def ranked(scores: Sequence[float]) -> Float64[np.ndarray, " candidates"]:
    """The rank of each score from 0, the lowest, to 1; equals share theirs, and a single one has 1/2."""
    values = np.asarray(scores, np.float64)
    below = (values[:, None] > values).sum(axis=1) + ((values[:, None] == values).sum(axis=1) - 1) / 2
    ranks: np.ndarray = below / (len(values) - 1) if len(values) > 1 else np.full(1, 0.5)
    return ranks
