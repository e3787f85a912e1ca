"""What a method is: how a source batch and a target batch become losses, one per player.

A player is a module with its own optimiser. Every player descends its own loss with respect to its own parameters only,
all gradients taken at the same weights, all players stepping together. One forward pass may therefore serve several
losses: the adversarial methods judge the target once and use that judgement for both sides.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from jaxtyping import Float, Float32, Int64, Shaped
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from platform.methods.batch import Labelled, Unlabelled
from platform.methods.hyperparameters import check
from platform.networks.network import Prediction, upsample
from platform.shifts.labels import VOID

SEGMENTATION = "segmentation"
"""The player that every method has: the segmentation network."""
SCALAR_NAME = re.compile(
    r"(?!learning_rate\Z|(source|target|oracle|test|final)/)(?=.{1,200}\Z)[\w: -]+([./][\w: -]+)*", re.ASCII
)
"""The names that MLflow takes for metrics, less those of the metrics by which trials are judged."""


class Player(NamedTuple):
    """A module that a method trains beside the segmentation network."""

    module: nn.Module
    optimiser: Callable[[Iterable[nn.Parameter]], Optimizer]


class Integer(NamedTuple):
    """A real hyperparameter that acts only through an integer, so that a search need not train one integer twice."""

    name: str
    of: Callable[[float], int]
    value: Callable[[int], float]
    """A value of the hyperparameter for an integer: `of(value(n)) == n`."""


@dataclass(frozen=True)
class Step:
    """What one training step offers a method: the batches, after translation and augmentation, and the networks."""

    progress: float
    """Fraction of the run's steps that were taken before this one, in [0, 1)."""
    source: Labelled
    target: Unlabelled | None
    """None for methods that do not look at the target."""
    segment: Callable[[Float[Tensor, "batch 3 height width"]], Prediction]
    """The segmentation network with its auxiliary heads, for labelled images in [0, 255]."""
    segment_target: Callable[[Float[Tensor, "batch 3 height width"]], Float[Tensor, "batch classes rows columns"]]
    """Its main logits at 1/8 of the size, for target images; the recipe says what batch norm does with them."""
    modules: Mapping[str, nn.Module]
    """The method's own players."""
    auxiliary_weight: float
    """Weight of the cross-entropy of each auxiliary head."""
    noted: MutableMapping[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Scalars for the records, by name; a report holds their means over its steps."""

    def note(self, name: str, value: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Note a scalar for the records, and return it. Raises ValueError for a name that the records cannot take."""
        if not SCALAR_NAME.fullmatch(name):
            raise ValueError(
                "a scalar's name must be up to 200 letters, digits, blanks, - _ : with single . or / between, and must "
                f"not begin with source/, target/, oracle/, test/ or final/, got {name!r}; rename it"
            )
        self.noted[name] = value.detach()
        return value

    def term(self, name: str, value: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Note a loss term for the records as `loss/<name>`, and return it."""
        return self.note(f"loss/{name}", value)

    def cross_entropy(self, prediction: Prediction) -> Float[Tensor, ""]:
        """CE(prediction, source labels) + auxiliary_weight * sum of CE(auxiliary heads, source labels).

        Means over the pixels that are not void, on logits upsampled to the labels' size (Yu et al., BiSeNet, ECCV 2018,
        arXiv 1808.00897).
        """
        labels = self.source.labels
        loss = self.term("cross_entropy", cross_entropy(prediction.logits, labels))
        for logits in prediction.auxiliary:
            loss = loss + self.auxiliary_weight * cross_entropy(logits, labels)
        return loss


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A frozen dataclass whose fields are the method's hyperparameters, with the published values as defaults."""

    labelled: ClassVar[Literal["source", "target"]] = "source"
    """The domain whose labels train the network; "target" is for upper bounds only."""
    sees_target: ClassVar[bool] = True
    """Whether training looks at target images."""

    def __post_init__(self) -> None:
        check(self)

    @property
    def warm_up(self) -> float:
        """Fraction of the steps before the method acts at full strength, in [0, 1)."""
        return 0.0

    def players(self) -> Mapping[str, Player]:
        """The modules that this method trains beside the segmentation network, by name."""
        return {}

    @classmethod
    def integer(cls, field: str, size: tuple[int, int]) -> Integer | None:
        """The integer through which a field acts at an image size (height, width); None for most fields."""
        return None

    def translate(
        self, source: Labelled, target: Unlabelled | None, memory: MutableMapping[int, Shaped[Tensor, "..."]]
    ) -> Float32[Tensor, "batch 3 height width"]:
        """Give the source images the style of the target, before augmentation; the default leaves them as they are.

        Values in [0, 255]. `memory` keeps what the method wants to remember of a target image, by its index.
        """
        return source.images

    @abstractmethod
    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        """The loss of each player: `segmentation`, and one for each of `players`."""


def cross_entropy(
    logits: Float[Tensor, "batch classes rows columns"], labels: Int64[Tensor, "batch height width"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy of logits, upsampled to the labels' size, over pixels that are not void; 0 where all are."""
    # CUDA sums in no fixed order inside `cross_entropy`, and in a fixed one outside it.
    pixels = functional.cross_entropy(upsample(logits, labels.shape[-2:]), labels, ignore_index=VOID, reduction="none")
    return pixels.sum() / (labels != VOID).sum().clamp(min=1)
