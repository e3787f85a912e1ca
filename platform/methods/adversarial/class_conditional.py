"""Fine-grained adversarial adaptation of features (Wang et al., FADA, ECCV 2020, arXiv 2007.09222).

With f(x) the features that the final classifier sees, D a discriminator of 2 C outputs at every place of them, whose
softmax D_c,d is the probability that a place is of class c in domain d, and a_c(x) what the network itself makes of the
place, through which no gradient flows:

    a_c(x) = min( softmax_c(S(x) / label_temperature), label_ceiling )
    CE_d(x) = -mean( sum_c a_c(x) log D_c,d(f(x)) )
    S:  min  CE(S(x_s), y_s) + lambda_adv * CE_source(x_t)
    D:  min  (CE_source(x_s) + CE_target(x_t)) / 2

`Arm(ClassConditionalAdversarial).after("source only")` begins from a network that was trained on the source, as
published: classes that it cannot tell apart align nothing.

Departures: places of the features are judged (published: pixels, to which judgements and predictions are enlarged). The
published cross-entropy with the labels is of softened logits, too; here it is every method's. D judges the target
once per step, see `Adversarial`. The second stage, self-distillation, is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from platform.methods.adversarial.judgement import SOURCE, TARGET, adam
from platform.methods.method import SEGMENTATION, Method, Player
from platform.methods.step import Step
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Network, feature_channels
from platform.networks.operations.upsampling import single_precision
from platform.shifts.labels import NUM_CLASSES

DISCRIMINATOR = "discriminator"


@dataclass(frozen=True, kw_only=True)
class ClassConditionalAdversarial(Method):
    """Make a discriminator of classes in domains take the target's features for the source's of the same class."""

    lambda_adv: float = hyperparameter(1e-3, at_least=0.0)
    """Weight of the adversarial loss."""
    label_temperature: float = hyperparameter(1.8, above=0.0)
    """By which logits are divided: the higher, the softer are the classes that the network gives a place."""
    label_ceiling: float = hyperparameter(0.9, above=0.0, at_most=1.0)
    """Share that a place has in a class, at most."""
    width: int = hyperparameter(256, at_least=2)
    """Channels of the discriminator's first convolution; the second has half of them."""
    discriminator_learning_rate: float = hyperparameter(1e-4, above=0.0)
    """Learning rate of Adam with betas (0.9, 0.99), decayed as the segmentation network's."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        judge = discriminator(feature_channels(network), self.width)
        return {DISCRIMINATOR: Player(judge, adam(self.discriminator_learning_rate))}

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        judge = step.modules[DISCRIMINATOR]
        source = judge(step.prediction.features.detach())
        target = judge(step.target_prediction.features)
        source_classes, target_classes = (
            soft_classes(prediction.logits, self.label_temperature, self.label_ceiling)
            for prediction in (step.prediction, step.target_prediction)
        )
        fooling = step.term("adversarial", judged_as(target, target_classes, SOURCE))
        telling_apart = judged_as(source, source_classes, SOURCE) + judged_as(target, target_classes, TARGET)
        return {
            SEGMENTATION: self.lambda_adv * fooling,
            DISCRIMINATOR: step.term("discriminator", telling_apart / 2),
        }


def discriminator(channels: int, width: int) -> nn.Module:
    """Three convolutions 3x3 to width, width / 2 and 2 C channels, LeakyReLU 0.2 between them."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(width, width // 2, 3, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(width // 2, 2 * NUM_CLASSES, 3, padding=1),
    )


def soft_classes(
    logits: Float[Tensor, "batch classes rows columns"], temperature: float, ceiling: float
) -> Float[Tensor, "batch classes rows columns"]:
    """min(softmax(logits / temperature), ceiling) in float32, without gradient; where it is cut, the sum is below 1."""
    return (single_precision(logits.detach()) / temperature).softmax(dim=1).clamp(max=ceiling)


def judged_as(
    judgement: Float[Tensor, "batch outputs rows columns"],
    classes: Float[Tensor, "batch classes rows columns"],
    domain: float,
) -> Float[Tensor, ""]:
    """CE_domain: the first half of a judgement's logits is for classes of the source, the second for the target's."""
    log_p, number = single_precision(judgement).log_softmax(dim=1), classes.shape[1]
    of_domain = log_p[:, :number] if domain == SOURCE else log_p[:, number:]
    return -(classes * of_domain).sum(dim=1).mean()
