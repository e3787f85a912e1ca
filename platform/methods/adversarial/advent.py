"""Adversarial entropy minimisation (Vu et al., ADVENT, CVPR 2019, arXiv 1811.12833).

With S the segmentation network, D the discriminator, p(x) = softmax S(x) at the images' size, C the number of classes
and I(x) = -p(x) log p(x) / log C, the weighted self-information, whose sum over classes is the entropy in [0, 1]:

    S:  min  CE(S(x_s), y_s) + lambda_adv * BCE(D(I(x_t)), source)
    D:  min  (BCE(D(I(x_s)), source) + BCE(D(I(x_t)), target)) / 2

`criterion="least squares"` puts (D - domain)^2 in the place of BCE, as AdaptSegNet's code offers, there with
lambda_adv = 0.01.

Departures: the level of the auxiliary classifier is left out. D judges the target once per step, see `Adversarial`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from platform.methods.adversarial.judgement import SOURCE, TARGET, Criterion, adam, judged_as, probabilities, spread
from platform.methods.method import SEGMENTATION, Method, Player
from platform.methods.step import Step
from platform.networks.discriminator import Discriminator
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Network
from platform.networks.operations.upsampling import single_precision

DISCRIMINATOR = "discriminator"
LEAST = 1e-30
"""Added to a probability before its logarithm, as published."""


@dataclass(frozen=True, kw_only=True)
class AdvEnt(Method):
    """Make the discriminator take the entropy of predictions on the target for that on the source."""

    lambda_adv: float = hyperparameter(1e-3, at_least=0.0)
    """Weight of the adversarial loss."""
    width: int = hyperparameter(64, at_least=1)
    """Channels of the discriminator's first convolution; each of the next three doubles them."""
    criterion: Criterion = hyperparameter("cross-entropy")
    """How a judgement is scored against a domain."""
    discriminator_learning_rate: float = hyperparameter(1e-4, above=0.0)
    """Learning rate of Adam with betas (0.9, 0.99), decayed as the segmentation network's."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {DISCRIMINATOR: Player(Discriminator(width=self.width), adam(self.discriminator_learning_rate))}

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        discriminator = step.modules[DISCRIMINATOR]
        size = step.source.images.shape[-2:]
        logits, target_logits = map(single_precision, (step.prediction.logits, step.target_prediction.logits))

        source = discriminator(self_information(probabilities(logits, size)).detach())
        target = discriminator(self_information(probabilities(target_logits, size)))

        step.note("discriminator/spread", spread(source, target))
        fooling = step.term("adversarial", judged_as(target, SOURCE, self.criterion))
        telling_apart = judged_as(source, SOURCE, self.criterion) + judged_as(target, TARGET, self.criterion)
        return {
            SEGMENTATION: self.lambda_adv * fooling,
            DISCRIMINATOR: step.term("discriminator", telling_apart / 2),
        }


def self_information(
    p: Float[Tensor, "batch classes height width"],
) -> Float[Tensor, "batch classes height width"]:
    """-p log p / log C, each in [0, 1]; in half precision no probability below 6e-8 would be known."""
    return -p * (p + LEAST).log() / math.log(p.shape[1])
