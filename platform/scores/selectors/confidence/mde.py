"""Selection by the distribution of energies on the target."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from platform.scores.evidence import Evidence
from platform.scores.selectors.selector import Selector


@dataclass(frozen=True, kw_only=True)
class MetaDistributionEnergy(Selector):
    """-mean_i log softmax(E)_i, with E_i = -T log sum_c exp(z_ic / T), over samples of the target.

    It is log n plus how unequal the energies are. Peng et al., ICLR 2024, arXiv:2401.12689, whose code takes its
    logarithm, for one network over many shifts of classification; here it is many networks on one. That higher is
    better is our reading: harder images pull energies together. The temperature T is theirs. Cost: n sums. Known
    failure: energies grow with the size of logits, which a learning rate or a temperature decides as much as the target
    does.
    """

    name: ClassVar[str] = "target/mde"
    temperature: float = 1.0

    def score(self, evidence: Evidence) -> float:
        scaled = evidence.target.logits.astype(np.float64) / self.temperature
        energy = -self.temperature * np.logaddexp.reduce(scaled, axis=1)
        return float(np.logaddexp.reduce(energy) - energy.mean())
