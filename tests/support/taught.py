"""Methods with teachers and with networks beside the one that is trained."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from platform.methods import SEGMENTATION, Method, Player, SourceOnly, Step, hyperparameter
from platform.networks import BiSeNet18, Network
from platform.networks.discriminator import Discriminator

OPTIMISERS: dict[str, Callable[[Iterable[nn.Parameter]], Optimizer]] = {
    "plain": partial(torch.optim.SGD, lr=0.01),
    "momentum": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
    "Adam": partial(torch.optim.Adam, lr=1e-4),
    "AMSGrad": partial(torch.optim.Adam, lr=1e-4, amsgrad=True),
}


@dataclass(frozen=True, kw_only=True)
class Mean(Method):
    """A teacher that follows the network, and judges the target without gradients."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {"teacher": Player(copy.deepcopy(network))}

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        with torch.no_grad():
            labels = step.modules["teacher"](step.target.images, domain="target").logits.argmax(1)
        return {SEGMENTATION: functional.cross_entropy(step.target_prediction.logits, labels)}

    def update(self, step: Step) -> None:
        """Nothing moves it: only its size is looked at."""


@dataclass(frozen=True, kw_only=True)
class Deploying(Mean):
    """The same, its teacher deployed."""

    deployed = "teacher"


@dataclass(frozen=True, kw_only=True)
class Beside(Mean):
    """A wider network than the one that is trained."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {"teacher": Player(BiSeNet18(width=0.25).build())}


@dataclass(frozen=True, kw_only=True)
class Descending(SourceOnly):
    """A player that descends a loss of its own by one optimiser or another."""

    kind: str = hyperparameter("plain", choices=tuple(OPTIMISERS))

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {"descending": Player(Discriminator(width=16), OPTIMISERS[self.kind])}

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        logits = step.prediction.logits.detach()
        return {"descending": step.modules["descending"](functional.interpolate(logits, size=(64, 64))).mean()}
