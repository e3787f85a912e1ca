"""Domain-specific batch norm (Chang et al., DSBN, CVPR 2019, arXiv 1906.03950).

Each batch norm of a network becomes two, one for the images of each domain: statistics, scale and shift are a domain's
own, all other weights are shared. Both begin as the norm that they stand for. What is deployed passes the target's
images by the target's norms, so that it has as many parameters as the network by itself.
"""

import copy
from typing import get_args

from jaxtyping import Float
from torch import Tensor, nn

from platform.networks.modes import NORMS
from platform.networks.network import Domain, Network, Prediction


class DomainSpecific(Network):
    """A network whose batch norms are each domain's own. Raises ValueError for a network without any."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self._norms = [
            _replaced(parent, name)
            for parent in [*network.modules()]
            for name, child in parent.named_children()
            if isinstance(child, NORMS)
        ]
        if not self._norms:
            raise ValueError(
                f"a domain's own norms need a network with batch norm, got {type(network).__name__} without; take "
                'batch_norm="mixed"'
            )

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], domain: Domain = "target", auxiliary: bool = False
    ) -> Prediction:
        """Predict for images of one domain, by its norms."""
        for norm in self._norms:
            norm.domain = domain
        prediction: Prediction = self.network(images, domain=domain, auxiliary=auxiliary)
        return prediction

    def published(self) -> nn.Module:
        """The network by itself."""
        return self.network.published()

    def backbone(self) -> nn.Module | None:
        return self.network.backbone()


class DomainNorm(nn.Module):
    """Two norms, of which the one of `domain` acts."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norms = nn.ModuleDict({domain: copy.deepcopy(norm) for domain in get_args(Domain)})
        self.domain: Domain = "target"

    def forward(self, x: Float[Tensor, "batch channels ..."]) -> Float[Tensor, "batch channels ..."]:
        """Normalise by the norm of the domain that is passed."""
        y: Tensor = self.norms[self.domain](x)
        return y


def _replaced(parent: nn.Module, name: str) -> DomainNorm:
    norm = DomainNorm(parent.get_submodule(name))
    parent.add_module(name, norm)
    return norm
