"""Multi-band transfer with self-supervised training (Yang and Soatto, FDA, CVPR 2020, arXiv 2004.05498).

Networks that were adapted by FDA with different windows, of which each errs in its own way, label the target together:

    p(x) = mean over m of softmax T_m(x),    y_t = argmax p(x_t) where max p(x_t) >= t, by class, else void
    min  CE(S(x_s->t), y_s) + lambda_pseudo * CE(S(x_t), y_t)

with thresholds t as those of `PseudoLabels`, and its departures. S begins from its own initial weights, as published,
and is what is evaluated. The translation x_s->t, and the entropy, are FDA's: written beside it,

    Arm(FDA, MultiBandTransfer, beta=0.01).after("FDA beta=0.01", "FDA beta=0.05", "FDA beta=0.09")

A second round, as published, is three such rows, and a fourth after them.
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

ROUNDS = 1


@dataclass(frozen=True, kw_only=True)
class MultiBandTransfer(Method):
    """Learn from the beginning what several adapted networks are sure of together."""

    lambda_pseudo: float = hyperparameter(1.0, at_least=0.0)
    """Weight of the cross-entropy of the target with its pseudo-labels."""
    fraction: float = hyperparameter(0.66, above=0.0, at_most=1.0)
    """Fraction of each class's pixels, the most probable ones, that are labelled."""
    confidence: float = hyperparameter(0.9, above=0.0, at_most=1.0)
    """Probability from which any pixel is labelled."""

    def start(self, network: Network, given: Sequence[Network]) -> None:
        refuse_untaught(self, given)

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return players_of_rounds(ROUNDS, network, given)

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        labels = as_probable(probabilities(step, ROUNDS), thresholds_of(step))
        return {SEGMENTATION: self.lambda_pseudo * learned(step, labels)}

    def update(self, step: Step) -> None:
        follow_the_surest(step, ROUNDS, self.fraction, self.confidence)
