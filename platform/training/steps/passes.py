"""Passes of the segmentation network in training: functions of the network, and of the recipe's batch norm, alone."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from platform.networks.modes import statistics_kept
from platform.networks.network import Domain, Network, Prediction

ALL, RECALIBRATED = ("mixed", "domain-specific"), "target"
"""Values of `Recipe.batch_norm`: with which every pass updates the statistics, and with which the target's alone do."""


@dataclass(frozen=True)
class TrainingPasses:
    """The passes that a step offers."""

    network: Network
    batch_norm: str
    """`Recipe.batch_norm`."""
    layout: torch.memory_format
    """How images lie in memory."""
    keeps_statistics: bool = False
    """Whether no pass at all updates the running statistics of batch norm."""

    def __call__(self, images: Float[Tensor, "batch 3 height width"], domain: Domain) -> Prediction:
        """A pass of images of one domain."""
        return self._pass(images, domain, updates=self.batch_norm in ALL or domain == self._followed)

    def labelled(self, images: Float[Tensor, "batch 3 height width"], domain: Domain) -> Prediction:
        """A pass of images that are trained on their labels."""
        return self._pass(images, domain, updates=self.batch_norm != RECALIBRATED or domain == self._followed)

    def keeping(self) -> "TrainingPasses":
        """The same passes, of which none updates a statistic."""
        return replace(self, keeps_statistics=True)

    @property
    def _followed(self) -> Domain:
        """The domain of whose passes the statistics are, where they are not those of both."""
        return "target" if self.batch_norm == RECALIBRATED else "source"

    def _pass(self, images: Tensor, domain: Domain, updates: bool) -> Prediction:
        check_domain(domain)
        training = self.batch_norm != "frozen"
        if self.network.training != training:
            self.network.train(training)
        with nullcontext() if updates and not self.keeps_statistics else statistics_kept(self.network):
            prediction: Prediction = self.network(
                images.contiguous(memory_format=self.layout), domain=domain, auxiliary=True
            )
        return prediction


def check_domain(domain: str) -> None:
    """Raise ValueError for a domain that there is not, which a network might take for any."""
    if domain not in get_args(Domain):
        raise ValueError(f"segment(images, domain) must be told 'source' or 'target', got {domain!r}; name one of them")
