"""Domain-specific batch norm (Chang et al., DSBN, CVPR 2019, arXiv 1906.03950).

Each batch norm of a network becomes two, one for the images of each domain: statistics, scale and shift are a domain's
own, all other weights are shared. Both begin as the norm that they stand for. What is deployed passes the target's
images by the target's norms, so that it has as many parameters as the network by itself.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any, get_args

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.module import _IncompatibleKeys

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

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Take over a state of its own, or one of the network by itself, from whose norms both domains' begin."""
        alone = {name: _alone(name) for name in self.state_dict()}
        if {*alone.values()} == state_dict.keys():
            state_dict = {name: state_dict[plain] for name, plain in alone.items()}
        taken: _IncompatibleKeys = super().load_state_dict(state_dict, strict, assign)
        return taken

    def published(self) -> nn.Module:
        """The network by itself, with the target's norms."""
        network = copy.deepcopy(self.network)
        for parent in [*network.modules()]:
            for name, child in parent.named_children():
                if isinstance(child, DomainNorm):
                    parent.add_module(name, child.norms["target"])
        return network.published()

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


def _alone(name: str) -> str:
    """What a part of the state is called in the network by itself."""
    return re.sub(r"(\A|\.)norms\.(source|target)\.", r"\1", name.removeprefix("network."))


def _replaced(parent: nn.Module, name: str) -> DomainNorm:
    norm = DomainNorm(parent.get_submodule(name))
    parent.add_module(name, norm)
    return norm
