"""Pseudo-labels in rounds, the surest of each class (Li et al., BDL, CVPR 2019, arXiv 1904.10620; Yang and Soatto, FDA,
CVPR 2020, arXiv 2004.05498).

With p(x) the probabilities by the teachers T of the round, the mean of softmax T(x), and c = argmax p(x) the class that
they give a pixel:

    y_t = c where max p(x_t) >= t_c, else void,    t_c = min(q_c(fraction), confidence)
    min  CE(S(x_s), y_s) + lambda_pseudo * CE(S(x_t), y_t)

q_c(f) is the probability that a fraction f of the pixels of class c reach, over all target images: labelled are that
many of each class, and every pixel of at least `confidence`. `platform.methods.self_training.rounds` has the rounds,
and their departures.

Departures: FDA's paper keeps 66 % of each class; its published code drops that many, and BDL's half: `fraction=0.34`
and 0.5. A class that the teachers found nowhere has the threshold `confidence`, in the code 0. Logits are upsampled,
not probabilities, whose digits near 1 would be lost on a GPU. The auxiliary heads learn the source alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from platform.methods.method import SEGMENTATION, Method, Player
from platform.methods.self_training.rounds import (
    as_probable,
    follow_the_surest,
    learned,
    players_of_rounds,
    probabilities,
    refuse_untaught,
    thresholds_of,
)
from platform.methods.step import Step
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Network


@dataclass(frozen=True, kw_only=True)
class PseudoLabels(Method):
    """Learn what trained networks are sure of on the target: `Arm(PseudoLabels).after("source only")`."""

    lambda_pseudo: float = hyperparameter(1.0, at_least=0.0)
    """Weight of the cross-entropy of the target with its pseudo-labels."""
    rounds: int = hyperparameter(2, at_least=1)
    """How many times thresholds are found; from the second round on the trained network is its own teacher."""
    fraction: float = hyperparameter(0.66, above=0.0, at_most=1.0)
    """Fraction of each class's pixels, the most probable ones, that are labelled."""
    confidence: float = hyperparameter(0.9, above=0.0, at_most=1.0)
    """Probability from which any pixel is labelled."""

    def start(self, network: Network, given: Sequence[Network]) -> None:
        refuse_untaught(self, given)
        super().start(network, given)

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return players_of_rounds(self.rounds, network, given)

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        labels = as_probable(probabilities(step, self.rounds), thresholds_of(step))
        return {SEGMENTATION: self.lambda_pseudo * learned(step, labels)}

    def update(self, step: Step) -> None:
        follow_the_surest(step, self.rounds, self.fraction, self.confidence)
