"""The optimisers of a run, and their learning rates, which are a function of the step."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.optim import Optimizer

from platform.training.recipe import Recipe


def stochastic_gradient_descent(network: nn.Module, recipe: Recipe, may_skip: bool) -> Optimizer:
    """The segmentation network's optimiser, whose first step may be skipped or not."""
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    if recipe.momentum and may_skip:
        # Where its first step is skipped, since float16 overflowed, it would go on from memory never written.
        for parameter in network.parameters():
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimiser


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
