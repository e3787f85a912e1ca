"""The optimisers of a run, and their learning rates, which are a function of the step."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.optim import Optimizer

from platform.networks.network import Network
from platform.training.recipe import Recipe

SECOND_BETA = 0.999
"""Of Adam and AdamW, as published."""


def optimiser_of(recipe: Recipe) -> Callable[..., Optimizer]:
    """What makes the optimiser of a recipe, of parameters or of groups of them."""
    betas = (recipe.momentum, SECOND_BETA)
    match recipe.optimiser:
        case "SGD":
            return partial(torch.optim.SGD, momentum=recipe.momentum, fused=True)
        case "Adam":
            return partial(torch.optim.Adam, betas=betas, fused=True)
        case "AdamW":
            return partial(torch.optim.AdamW, betas=betas, fused=True)


def descent(network: Network, recipe: Recipe, may_skip: bool = False) -> Optimizer:
    """The segmentation network's optimiser, whose first step may be skipped or not.

    Raises ValueError where a recipe sets the heads apart of a network that does not say which part is its backbone.
    """
    optimiser = optimiser_of(recipe)(_groups(network, recipe))
    if recipe.optimiser == "SGD" and recipe.momentum and may_skip:
        # Where its first step is skipped, since float16 overflowed, it would go on from memory never written.
        for parameter in network.parameters():
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimiser


def _groups(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters with one learning rate and one decay each, those of the recipe's own learning rate first."""
    whole = {*network.parameters()}
    backbone = whole if recipe.head_factor == 1 else {*_backbone(network).parameters()}
    decayed = {parameter for parameter in whole if recipe.decays_vectors or parameter.ndim > 1}
    groups = [
        {
            "params": [each for each in network.parameters() if (each in backbone, each in decayed) == (slow, decays)],
            "lr": recipe.learning_rate * (1 if slow else recipe.head_factor),
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for slow in (True, False)
        for decays in (True, False)
    ]
    return [group for group in groups if group["params"]]


def _backbone(network: Network) -> nn.Module:
    backbone = network.backbone()
    if backbone is None:
        raise ValueError(
            f"Recipe.head_factor must be 1 for a network without a backbone, as {type(network).__name__} is; leave it "
            "out, or have its `backbone` return the part that starts from trained weights"
        )
    return backbone


class LearningRates:
    """The learning rates of optimisers: those that they were made with, times a factor.

    Where steps may be recorded they lie in the device's memory, as far as optimisers read them there.
    """

    def __init__(self, optimisers: Iterable[Optimizer], device: torch.device, recorded: bool) -> None:
        self._optimisers = tuple(optimisers)
        self._there: list[Float32[Tensor, ""] | None] = []
        for group in self._groups():
            # The name that torch's own schedulers use.
            group["initial_lr"] = group["lr"]
            reads_there = recorded and (group.get("fused") or "capturable" in group)
            self._there.append(torch.zeros((), device=device) if reads_there else None)
        self.are_there = recorded and None not in self._there
        """Whether all lie in the device's memory."""
        self.scale(1.0)

    def scale(self, factor: float) -> None:
        """Set all learning rates."""
        for group, there in zip(self._groups(), self._there, strict=True):
            rate = group["initial_lr"] * factor
            group["lr"] = rate if there is None else there.fill_(rate)
            if "capturable" in group:
                group["capturable"] = there is not None

    def _groups(self) -> list[dict[str, Any]]:
        # Asked anew, since a state that is loaded brings its own.
        return [group for optimiser in self._optimisers for group in optimiser.param_groups]


def load(optimiser: Optimizer, saved: dict[str, Any]) -> None:
    """Take over a saved state of whichever device: how an optimiser computes, and where it counts, is this device's."""
    for group, own in zip(saved["param_groups"], optimiser.param_groups, strict=True):
        group.update({name: own[name] for name in ("capturable", "fused", "foreach") if name in own})
    optimiser.load_state_dict(saved)
