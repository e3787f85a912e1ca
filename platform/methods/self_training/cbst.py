"""Class-balanced self-training (Zou et al., CBST, ECCV 2018, arXiv 1810.07911).

With p(x) the probabilities by the teachers T of the round, the mean of softmax T(x), a pixel is of the class whose
probability is largest beside that of the class's surest pixels:

    y_t = argmax_c p_c(x_t) / exp(-k_c) where that ratio is at least 1, else void
    min  CE(S(x_s), y_s) + lambda_pseudo * CE(S(x_t), y_t)

exp(-k_c) is the largest probability that a portion of the pixels whose most probable class is c reach, over all target
images; it is 1 where there is none. The portion grows from round to round. `platform.methods.self_training.rounds` has
the rounds, and their departures.

As in the published code, a ratio of 1 is enough, where the paper asks for more. Departures: the spatial prior is left
out, and so are the mining of rare classes and the growing portion of source images: each is a batch like any other.
The number of rounds is that of the authors' later code (CRST, ICCV 2019, arXiv 1908.09822).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from platform.methods.method import SEGMENTATION, Method, Player
from platform.methods.self_training.rounds import (
    begun,
    counted,
    learned,
    players_of_rounds,
    probabilities,
    ranked,
    refuse_untaught,
    thresholds_of,
)
from platform.methods.step import Step
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Network
from platform.shifts.labels import VOID


@dataclass(frozen=True, kw_only=True)
class CBST(Method):
    """Learn an equal portion of each class from what trained networks predict: `Arm(CBST).after("source only")`."""

    lambda_pseudo: float = hyperparameter(1.0, at_least=0.0)
    """Weight of the cross-entropy of the target with its pseudo-labels."""
    rounds: int = hyperparameter(3, at_least=1)
    """How many times k is found; from the second round on the trained network is its own teacher."""
    portion: float = hyperparameter(0.2, above=0.0, at_most=1.0)
    """Portion of each class's pixels that k is found by, in the first round."""
    portion_growth: float = hyperparameter(0.05, at_least=0.0, at_most=1.0)
    """How much larger the portion is in each further round."""
    largest_portion: float = hyperparameter(0.5, above=0.0, at_most=1.0)
    """Where the portion ends."""

    def start(self, network: Network, given: Sequence[Network]) -> None:
        refuse_untaught(self, given)
        super().start(network, given)

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return players_of_rounds(self.rounds, network, given)

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        labels = balanced(probabilities(step, self.rounds), thresholds_of(step))
        return {SEGMENTATION: self.lambda_pseudo * learned(step, labels)}

    def update(self, step: Step) -> None:
        if (number := begun(step, self.rounds)) is not None:
            portion = min(self.portion + number * self.portion_growth, self.largest_portion)
            thresholds_of(step).copy_(ranked(counted(step, number), portion))


def balanced(
    p: Float[Tensor, "batch classes height width"], of_class: Float[Tensor, " classes"]
) -> Int64[Tensor, "batch height width"]:
    """The class whose probability is largest beside exp(-k) of that class, void where it is smaller."""
    best = (p / of_class[:, None, None]).max(dim=1)
    return best.indices.where(best.values >= 1, VOID)
