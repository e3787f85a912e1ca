"""Adversarial adaptation in the output space at two levels (Tsai et al., AdaptSegNet, CVPR 2018, arXiv 1802.10349).

With p(x) = softmax of the final classifier's logits and q(x) = softmax of the first auxiliary classifier's, both at the
images' size, and a discriminator for each, D and E:

    S:  min  CE(S(x_s), y_s) + lambda_adv * BCE(D(p(x_t)), source) + auxiliary_lambda_adv * BCE(E(q(x_t)), source)
    D:  min  (BCE(D(p(x_s)), source) + BCE(D(p(x_t)), target)) / 2,  and E the same of q

The weights are the paper's; its code asks for 5e-4 and 5e-5 from PyTorch 0.4 on. `criterion="least squares"` puts
(D - domain)^2 in the place of BCE, as that code offers.

Departures: the cross-entropy of the auxiliary classifiers has the recipe's weight (published 0.1). A network without an
auxiliary classifier cannot be adapted this way: ValueError. Each discriminator judges the target once per step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from platform.methods.adversarial.judgement import SOURCE, TARGET, Criterion, adam, judged_as, probabilities, spread
from platform.methods.method import SEGMENTATION, Method, Player
from platform.methods.step import Step
from platform.networks.discriminator import Discriminator
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Network, Prediction

DISCRIMINATOR, AUXILIARY = "discriminator", "auxiliary discriminator"


@dataclass(frozen=True, kw_only=True)
class MultiLevelAdversarial(Method):
    """Make two discriminators take final and auxiliary predictions on the target for those on the source."""

    lambda_adv: float = hyperparameter(1e-3, at_least=0.0)
    """Weight of the adversarial loss of the final classifier."""
    auxiliary_lambda_adv: float = hyperparameter(2e-4, at_least=0.0)
    """Weight of the adversarial loss of the first auxiliary classifier."""
    width: int = hyperparameter(64, at_least=1)
    """Channels of each discriminator's first convolution; each of the next three doubles them."""
    criterion: Criterion = hyperparameter("cross-entropy")
    """How a judgement is scored against a domain."""
    discriminator_learning_rate: float = hyperparameter(1e-4, above=0.0)
    """Learning rate of Adam with betas (0.9, 0.99), decayed as the segmentation network's."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        optimiser = adam(self.discriminator_learning_rate)
        return {name: Player(Discriminator(width=self.width), optimiser) for name in (DISCRIMINATOR, AUXILIARY)}

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        size = step.source.images.shape[-2:]
        levels = {
            DISCRIMINATOR: (step.prediction.logits, step.target_prediction.logits, self.lambda_adv),
            AUXILIARY: (_first(step.prediction), _first(step.target_prediction), self.auxiliary_lambda_adv),
        }
        fooled: list[Tensor] = []
        losses: dict[str, Tensor] = {}
        for name, (source_logits, target_logits, weight) in levels.items():
            discriminator: nn.Module = step.modules[name]
            source = discriminator(probabilities(source_logits, size).detach())
            target = discriminator(probabilities(target_logits, size))
            level = name.replace(" ", "_")
            step.note(f"{level}/spread", spread(source, target))
            fooled.append(weight * step.term(f"{level}_fooled", judged_as(target, SOURCE, self.criterion)))
            telling_apart = judged_as(source, SOURCE, self.criterion) + judged_as(target, TARGET, self.criterion)
            losses[name] = step.term(level, telling_apart / 2)
        return losses | {SEGMENTATION: fooled[0] + fooled[1]}


def _first(prediction: Prediction) -> Float[Tensor, "batch classes rows columns"]:
    if not prediction.auxiliary:
        raise ValueError("MultiLevelAdversarial needs a network with an auxiliary classifier; take Adversarial")
    return prediction.auxiliary[0]
