"""Domain-adversarial training of features (Ganin and Lempitsky, ICML 2015, arXiv 1409.7495; JMLR 2016, 1505.07818).

With f(x) the features that the final classifier sees, D a classifier of the domain at every place of them, and

    L = (BCE(D(f(x_s)), source) + BCE(D(f(x_t)), target)) / 2
    S:  min  CE(S(x_s), y_s) - strength(progress) * lambda_dann * L
    D:  min  L,     strength(progress) = 2 / (1 + exp(-10 * progress)) - 1

which is what the published gradient reversal does. L is the mean over a batch of both domains, as in the authors' code;
the JMLR paper writes the sum of the domains' means, which is twice that.

Departures: D is two 1x1 convolutions, since features are maps here (published: three linear layers on a vector, with
dropout); it descends by Adam, as the other discriminators do, with its own learning rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from platform.methods.adversarial.judgement import SOURCE, TARGET, adam, judged_as, spread
from platform.methods.method import SEGMENTATION, Method, Player
from platform.methods.step import Step
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Network, feature_channels

CLASSIFIER = "domain classifier"


@dataclass(frozen=True, kw_only=True)
class DANN(Method):
    """Make the features of both domains look alike to a classifier of the domain."""

    lambda_dann: float = hyperparameter(1.0, at_least=0.0)
    """Weight of the reversed loss at full strength; 1 in the papers and 0.1 in the authors' code, for whole images."""
    hidden: int = hyperparameter(64, at_least=1)
    """Channels between the classifier's two layers, where the papers have 1024 for one vector of an image; ours."""
    classifier_learning_rate: float = hyperparameter(1e-4, above=0.0)
    """Learning rate of Adam with betas (0.9, 0.99), decayed as the segmentation network's."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        channels = feature_channels(network)
        classifier = nn.Sequential(nn.Conv2d(channels, self.hidden, 1), nn.ReLU(), nn.Conv2d(self.hidden, 1, 1))
        return {CLASSIFIER: Player(classifier, adam(self.classifier_learning_rate))}

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        classify = step.modules[CLASSIFIER]
        source, target = classify(step.prediction.features), classify(step.target_prediction.features)
        step.note("domain_classifier/spread", spread(source, target))
        loss = step.term("domain_classifier", (judged_as(source, SOURCE) + judged_as(target, TARGET)) / 2)
        return {SEGMENTATION: -self.lambda_dann * strength(step.progress) * loss, CLASSIFIER: loss}


def strength(progress: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """2 / (1 + exp(-10 progress)) - 1: from 0 at the first step to nearly 1.

    It rises all the time, to 0.76 in the first fifth: no warm-up that early stopping should wait for.
    """
    return 2 / (1 + (-10 * progress).exp()) - 1
