"""Methods as a user might write them, that have what those of the platform do without."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from platform.methods import SEGMENTATION, Method, Player, Step, hyperparameter
from platform.networks.network import Network

TEACHER = "teacher"


@dataclass(frozen=True, kw_only=True)
class MeanTeacher(Method):
    """A teacher whose weights trail the network's: it is deployed, has no optimiser, and starts as its copy."""

    deployed: ClassVar[str] = TEACHER
    keep: float = hyperparameter(0.5, at_least=0.0, at_most=1.0)

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {TEACHER: Player(copy.deepcopy(network))}

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        taught = step.modules[TEACHER](step.target.images, domain="target").logits
        consistency = functional.mse_loss(step.target_prediction.logits, taught)
        return {SEGMENTATION: step.term("consistency", consistency)}

    def update(self, step: Step) -> None:
        teacher = step.modules[TEACHER]
        for mine, theirs in zip(teacher.parameters(), step.network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - self.keep)
        step.note("teacher/moved", torch.ones(()))


@dataclass(frozen=True, kw_only=True)
class Scripted(Method):
    """Does in its losses and in its update what a test says; beside it stand a judge that learns, and a frozen one."""

    reads: ClassVar[frozenset[str]] = frozenset({"source", "target"})
    loss: Callable[[Step], Mapping[str, Tensor | None]] | None = None
    after: Callable[[Step], object] | None = None

    def __post_init__(self) -> None:
        """Nothing is checked: the fields are the test's."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        sgd = partial(torch.optim.SGD, lr=0.1)
        return {"judge": Player(nn.Conv2d(3, 1, 1), sgd), "frozen": Player(nn.Conv2d(3, 1, 1))}

    def losses(self, step: Step) -> Mapping[str, Tensor | None]:
        return {"judge": None} if self.loss is None else self.loss(step)

    def update(self, step: Step) -> None:
        if self.after is not None:
            self.after(step)


@dataclass(frozen=True, kw_only=True)
class OfTheTarget(Scripted):
    """The same, of target images alone: there is no cross-entropy."""

    reads: ClassVar[frozenset[str]] = frozenset({"target"})


@dataclass(frozen=True, kw_only=True)
class Few(Method):
    """Reads the labelled target images that the shift grants, beside the rest."""

    reads: ClassVar[frozenset[str]] = frozenset({"source", "target", "few"})


def judged(step: Step, name: str = "judge") -> Any:
    """What a judge makes of the target images."""
    return step.modules[name](step.target.images / 255).square().mean()
