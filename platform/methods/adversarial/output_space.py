"""Adversarial adaptation in the output space, single level (Tsai et al., AdaptSegNet, CVPR 2018, arXiv 1802.10349).

With S the segmentation network, D the discriminator, p(x) = softmax S(x) at the images' size:

    S:  min  CE(S(x_s), y_s) + lambda_adv * min(1, progress / ramp) * BCE(D(p(x_t)), source)
    D:  min  (BCE(D(p(x_s)), source) + BCE(D(p(x_t)), target)) / 2

`separable=True` is the lightweight discriminator of RTDA (Tavera et al., arXiv 2110.11662): every convolution is split
into a depthwise and a pointwise one. `criterion="least squares"` puts (D - domain)^2 in the place of BCE, as the
published code offers, there with lambda_adv = 0.01.

Departures: D judges the target once per step, and both losses use that judgement; the published code runs D twice with
unchanged weights, which gives the same gradients. The ramp is ours; 0, the default, means no ramp, as published.
"""

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

DISCRIMINATOR = "discriminator"


@dataclass(frozen=True, kw_only=True)
class Adversarial(Method):
    """Make the discriminator take predictions on the target for predictions on the source."""

    lambda_adv: float = hyperparameter(1e-3, at_least=0.0)
    """Weight of the adversarial loss."""
    width: int = hyperparameter(64, at_least=1)
    """Channels of the discriminator's first convolution; each of the next three doubles them."""
    separable: bool = hyperparameter(False, choices=(False, True))
    """Whether the discriminator's convolutions are depthwise separable."""
    criterion: Criterion = hyperparameter("cross-entropy")
    """How a judgement is scored against a domain."""
    discriminator_learning_rate: float = hyperparameter(1e-4, above=0.0)
    """Learning rate of Adam with betas (0.9, 0.99), decayed as the segmentation network's."""
    ramp: float = hyperparameter(0.0, at_least=0.0, below=1.0)
    """Fraction of the steps over which the weight of the adversarial loss rises from 0 to `lambda_adv`, linearly."""

    @property
    def warm_up(self) -> float:
        return self.ramp

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        judge = Discriminator(width=self.width, separable=self.separable)
        return {DISCRIMINATOR: Player(judge, adam(self.discriminator_learning_rate))}

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        discriminator = step.modules[DISCRIMINATOR]
        size = step.source.images.shape[-2:]

        source = discriminator(probabilities(step.prediction.logits, size).detach())
        target = discriminator(probabilities(step.target_prediction.logits, size))

        step.note("discriminator/spread", spread(source, target))
        fooling = step.term("adversarial", judged_as(target, SOURCE, self.criterion))
        telling_apart = judged_as(source, SOURCE, self.criterion) + judged_as(target, TARGET, self.criterion)
        return {
            SEGMENTATION: self.lambda_adv * self._strength(step.progress) * fooling,
            DISCRIMINATOR: step.term("discriminator", telling_apart / 2),
        }

    def _strength(self, progress: Float[Tensor, ""]) -> Float[Tensor, ""] | float:
        return (progress / self.ramp).clamp(max=1) if self.ramp else 1.0
