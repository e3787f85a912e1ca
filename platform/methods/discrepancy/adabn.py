"""Adaptive batch normalisation (Li et al., AdaBN, ICLR workshops 2017, arXiv 1603.04779).

Nothing is trained: a network that was trained on the source takes the target's statistics,

    mean_l, variance_l  <-  those of the inputs of batch norm l, over the target's images

as published: none of the source's is kept. Departures: they are averages over the batches of all steps, so that the
variance between batches is not counted, and images are drawn as in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from platform.methods.method import Method
from platform.methods.step import Step
from platform.networks.modes import averaging, norms_of
from platform.networks.network import Network


@dataclass(frozen=True, kw_only=True)
class AdaBN(Method):
    """Normalise by the target's statistics: `Arm(AdaBN).after("source only")`."""

    reads: ClassVar[frozenset[str]] = frozenset({"target"})

    def start(self, network: Network, given: Sequence[Network]) -> None:
        if not given:
            raise ValueError('AdaBN adapts a trained network; write Arm(AdaBN).after("source only")')
        super().start(network, given)
        for layer in norms_for(self, network):
            layer.reset_running_stats()

    def update(self, step: Step) -> None:
        with averaging(step.network, step.number):
            step.network(step.target.images, domain="target")


def norms_for(method: Method, network: Network) -> list[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]:
    """The layers of batch norm. Raises ValueError without any, since the method could adapt nothing."""
    layers = [*norms_of(network).values()]
    if not layers:
        name, got = type(method).__name__, type(network).__name__
        raise ValueError(f"{name} needs a network with batch norm, got {got} without; take another method")
    return layers
