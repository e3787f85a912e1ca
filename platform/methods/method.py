"""What a method is: what adaptation adds to the labelled cross-entropy, as losses of players.

A player is a module of the method's own. One with an optimiser descends its own loss with respect to its own parameters
only, all gradients taken at the same weights, all players stepping together. One forward pass may therefore serve
several losses: the adversarial methods judge the target once and use that judgement for both sides.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Shaped
from torch import Tensor, nn
from torch.optim import Optimizer

from platform.methods.batch import Labelled, Unlabelled
from platform.methods.step import Step
from platform.networks.hyperparameters import check
from platform.networks.network import Network
from platform.shifts.shift import Arrays, LabelledImages

SEGMENTATION = "segmentation"
"""The player that every method has: the segmentation network."""


class Player(NamedTuple):
    """A module beside the segmentation network; every checkpoint holds its state."""

    module: nn.Module
    optimiser: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None
    """None for a module that descends no loss: only `Method.update` changes it."""


class Integer(NamedTuple):
    """A real hyperparameter that acts only through an integer, so that a search need not train one integer twice."""

    name: str
    of: Callable[[float], int]
    value: Callable[[int], float]
    """A value of the hyperparameter for an integer: `of(value(n)) == n`."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A frozen dataclass whose fields are the method's hyperparameters, with the published values as defaults."""

    reads: ClassVar[frozenset[str]] = frozenset({"source", "target"})
    """Of `source` (labelled), `target` (images alone), `few` (the labelled target images that a shift grants) and
    `oracle` (the labels of all that is adapted to: upper bounds only)."""
    deployed: ClassVar[str] = SEGMENTATION
    """The player that is evaluated and deployed: the segmentation network, or a teacher."""
    smoke: ClassVar[Mapping[str, Any]] = {}
    """Values that its fields have in `--smoke`, which reads no files."""

    def __post_init__(self) -> None:
        check(self)

    @property
    def warm_up(self) -> float:
        """Fraction of the steps before the method acts at full strength, in [0, 1)."""
        return 0.0

    @classmethod
    def integer(cls, field: str, size: tuple[int, int]) -> Integer | None:
        """The integer through which a field acts at an image size (height, width); None for most fields."""
        return None

    def start(self, network: Network, given: Sequence[Network]) -> None:
        """Change the segmentation network before its first step: it takes the weights of the first that it is given.

        `given` are the networks of the arms that this one comes after. Raises ValueError for another network's weights.
        """
        if given:
            try:
                network.load_state_dict(given[0].state_dict())
            except RuntimeError as error:
                raise ValueError(
                    f"{type(self).__name__} must begin from weights of its own network, got another network's; give "
                    "both rows the same, or override `start`"
                ) from error

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        """The method's own modules by name: discriminators, teachers, prototypes.

        `network` is the segmentation network before its first step; `given` are those that the arm comes after.
        Whatever a method remembers from step to step is a player, else a restored run would not know it.
        """
        return {}

    def weights(self, labelled: LabelledImages) -> Float[np.ndarray, " number"] | None:
        """How often each source image is drawn, relative to the others; None: every image once per epoch."""
        return None

    def source_images(self, labelled: LabelledImages) -> Arrays | None:
        """What is trained on in the place of the source's images, in their order and shape; None: they themselves.

        Called once, before `weights`; a shift's names tell them apart. Raises DataError for files that are missing.
        """
        return None

    def translate(
        self, source: Labelled, target: Unlabelled | None, memory: MutableMapping[int, Shaped[Tensor, "..."]]
    ) -> Float32[Tensor, "batch 3 height width"]:
        """Give the source images the style of the target, before augmentation; the default leaves them as they are.

        Values in [0, 255]. `memory` keeps what can be computed again of a target image, by its index; no checkpoint
        holds it.
        """
        return source.images

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""] | None]:
        """What each player minimises: the segmentation network beside the cross-entropy, the others all they minimise.

        None leaves a player as it is in this step. Called once for each part of a batch: it changes nothing.
        """
        return {}

    def update(self, step: Step) -> None:
        """Change players that have no optimiser, once after every optimiser step, without gradients.

        `step.prediction` and `step.target_prediction` are those that the step's losses were taken on.
        """

    def data(self) -> str | None:
        """A digest of the files that the method reads: part of a trial's id. May raise anything without them."""
        return None
