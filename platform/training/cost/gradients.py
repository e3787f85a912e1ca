"""What the layers of a step multiply, forward and for gradients, seen by hooks while the step is tried.

A gradient is taken with respect to what is asked for and nothing else: the images' not at all, the weights' of a
discriminator not for the network's loss, and of a graph that two losses share each way that either goes back.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from platform.networks.cost import LAYERS, multiply_accumulates

UNKNOWN = 3.0
"""What a pass with gradients is taken to cost, in passes, where no layer shows it: about two for its backward."""


@dataclass
class Tally:
    """Multiply-accumulates of the layers in one call."""

    differentiates: bool
    """Whether it is made where gradients can be taken."""
    forward: int = 0
    backward: int = 0
    """Of all gradients with respect to the layers' inputs and weights."""

    @property
    def passes(self) -> float:
        """What the call costs, in forward passes."""
        if not self.forward:
            return UNKNOWN if self.differentiates else 1.0
        return 1 + self.backward / self.forward


@dataclass
class Walks:
    """Ways back through a step's graph, each of them for the loss of one player."""

    player: str = ""
    """Whose weights' gradients are taken on the way that is gone; nobody's where a method goes one itself."""
    number: int = 0

    @contextmanager
    def back(self, player: str) -> Iterator[None]:
        """The way back for a player's own loss."""
        self.player, self.number = player, self.number + 1
        try:
            yield
        finally:
            self.player, self.number = "", self.number + 1


@dataclass
class Layers:
    """The layers of all players, and the tally of the call that is under way."""

    walks: Walks
    tally: Tally
    handles: list[RemovableHandle] = field(default_factory=list)

    @contextmanager
    def watched(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        """Tally all that the layers of these modules multiply."""
        for name, module in modules.items():
            for layer in module.modules():
                if isinstance(layer, LAYERS):
                    self.handles.append(layer.register_forward_hook(partial(self._called, name), with_kwargs=True))
        try:
            yield
        finally:
            for handle in self.handles:
                handle.remove()

    def _called(
        self, player: str, layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Tensor
    ) -> None:
        tally, x = self.tally, arguments[0] if arguments else named["input"]
        products = multiply_accumulates(layer, x, output)
        tally.forward += products
        if not output.requires_grad:
            return
        learns = any(parameter.requires_grad for parameter in layer.parameters())
        way = -1

        def reached(_: Tensor) -> None:
            nonlocal way
            way = self.walks.number
            if learns and self.walks.player == player:
                tally.backward += products

        def went_on(_: Tensor) -> None:
            # The input's gradient may come from elsewhere, on a way that does not lead through this layer.
            if way == self.walks.number:
                tally.backward += products

        self.handles.append(output.register_hook(reached))  # type: ignore[no-untyped-call]
        if x.requires_grad:
            self.handles.append(x.register_hook(went_on))


def pass_of(network: nn.Module, player: str, image: Float[Tensor, "batch 3 height width"]) -> Tally:
    """A pass of a network, with its auxiliary heads, and the way back to its weights from all that it predicts."""
    tally = Tally(differentiates=True)
    layers = Layers(Walks(), tally)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    with torch.enable_grad(), layers.watched({player: network}):
        prediction = network(image, auxiliary=True)
        total = sum(map(Tensor.sum, (prediction.logits, *prediction.auxiliary)), torch.zeros(()))
        if parameters and total.requires_grad:
            with layers.walks.back(player):
                torch.autograd.grad(total, parameters, allow_unused=True)
    return tally
