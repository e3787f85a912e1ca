"""What one training step offers a method: the batches that it reads, passes of the network, and notes for the records.

Nothing here leads to labels that the method does not read, nor to the files in which they lie.
"""

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor, nn

from platform.methods.batch import Labelled, Unlabelled, UnlabelledImages
from platform.methods.upsampled_loss import cross_entropies
from platform.networks.network import Domain, Network, Prediction

SCALAR_NAME = re.compile(
    r"(?!learning_rate\Z|(source|target|oracle|test|final|time)/)(?=.{1,200}\Z)[\w: -]+([./][\w: -]+)*", re.ASCII
)
"""The names that MLflow takes for metrics, less those of the metrics by which trials are judged."""
CROSS_ENTROPY = "loss/cross_entropy"
LABELLED: dict[str, Domain] = {"source": "source", "oracle": "target", "few": "target"}
"""The batches with labels that a method may read, and the domain that their images are of."""


@runtime_checkable
class Passes(Protocol):
    """Passes of the segmentation network in training, with its auxiliary heads, for images in [0, 255]."""

    def __call__(self, images: Float[Tensor, "batch 3 height width"], domain: Domain) -> Prediction:
        """A pass of images of one domain; the recipe says whether it updates the statistics of batch norm."""

    def labelled(self, images: Float[Tensor, "batch 3 height width"], domain: Domain) -> Prediction:
        """A pass of images that are trained on their labels."""


@dataclass(frozen=True)
class Moment:
    """What the CPU alone knows of a step, and no memory of a device."""

    number: int
    random: np.random.Generator
    steps: int
    """Of the whole run."""


@dataclass(frozen=True)
class Step:
    """One training step, as a method sees it."""

    moment: Moment | None
    """None in a step that is recorded, to be repeated at other moments."""
    progress: Float[Tensor, ""]
    """Fraction of the run's steps that were taken before this one, in [0, 1), on the device: to be calculated with, for
    whoever compares it waits for the device."""
    batches: Mapping[str, Labelled | Unlabelled]
    """The batches that the method reads, after translation and augmentation."""
    network: Network
    """The segmentation network, for what copies or averages it."""
    segment: Passes
    """`segment(images, domain)`: the segmentation network with its auxiliary heads."""
    modules: Mapping[str, nn.Module]
    """The method's own players."""
    auxiliary_weight: float
    """Weight of the cross-entropy of each auxiliary head."""
    images: UnlabelledImages | None = None
    """All images that a method which reads the target adapts to."""
    passes: MutableMapping[str, Prediction] = field(default_factory=dict)
    """The passes of whole batches that were made so far, which all terms share."""
    noted: MutableMapping[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Scalars for the records, by name; a report holds the mean over those of its steps that noted one."""

    @property
    def number(self) -> int:
        """How many steps were taken before this one."""
        return self._told.number

    @property
    def steps(self) -> int:
        """How many steps the run takes in all."""
        return self._told.steps

    @property
    def random(self) -> np.random.Generator:
        """Draws that are the same whenever this step is taken, on whichever device."""
        return self._told.random

    @property
    def source(self) -> Labelled:
        """The source batch: images in [0, 255], perhaps translated, and labels."""
        return self._labelled("source")

    @property
    def few(self) -> Labelled:
        """A batch of the labelled target images that the shift grants."""
        return self._labelled("few")

    @property
    def target(self) -> Unlabelled:
        """The target batch: images in [0, 255]."""
        batch = self._batch("target")
        assert isinstance(batch, Unlabelled)
        return batch

    @property
    def adapt(self) -> UnlabelledImages:
        """All images that are adapted to, for what looks at more than a batch."""
        self._batch("target")
        assert self.images is not None
        return self.images

    @property
    def prediction(self) -> Prediction:
        """The network's prediction for the source batch, by the pass that its cross-entropy is taken on."""
        return self._pass("source")

    @property
    def few_prediction(self) -> Prediction:
        """The network's prediction for the few labelled target images, as `prediction`."""
        return self._pass("few")

    @property
    def target_prediction(self) -> Prediction:
        """The network's prediction for the target batch: one pass, however many terms use it."""
        images = self.target.images
        if "target" not in self.passes:
            self.passes["target"] = self.segment(images, "target")
        return self.passes["target"]

    def note(self, name: str, value: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Note a scalar for the records, and return it.

        Raises ValueError for a name that the records cannot take, or that was noted in this step already.
        """
        if not SCALAR_NAME.fullmatch(name):
            raise ValueError(
                "a scalar's name must be up to 200 letters, digits, blanks, - _ : with single . or / between, and must "
                f"not begin with source/, target/, oracle/, test/, final/ or time/, got {name!r}; rename it"
            )
        if not isinstance(value, Tensor) or value.ndim:
            got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise ValueError(
                f"a scalar must be a tensor of one number, got {got} for {name!r}; take its mean, or wrap it"
            )
        if name in self.noted:
            raise ValueError(f"a scalar must be noted once a step, got {name!r} twice; give each its own name")
        self.noted[name] = value.detach()
        return value

    def term(self, name: str, value: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Note a loss term for the records as `loss/<name>`, and return it."""
        return self.note(f"loss/{name}", value)

    def cross_entropy(self, prediction: Prediction, labels: Int64[Tensor, "batch height width"]) -> Float[Tensor, ""]:
        """CE(prediction, labels) + auxiliary_weight * sum of CE(auxiliary heads, labels).

        Means over the pixels that are not void, on logits upsampled to the labels' size (Yu et al., BiSeNet, ECCV 2018,
        arXiv 1808.00897).
        """
        return self._cross_entropies(prediction, labels)[1]

    def supervised(self) -> Float[Tensor, ""] | None:
        """The cross-entropy of every labelled batch that is read, which is every method's; None without any."""
        loss = None
        for name, domain in LABELLED.items():
            batch = self.batches.get(name)
            if isinstance(batch, Labelled):
                prediction = self.passes[name] = self.segment.labelled(batch.images, domain)
                main, whole = self._cross_entropies(prediction, batch.labels)
                self.note(CROSS_ENTROPY if loss is None else f"{CROSS_ENTROPY}/{name}", main)
                loss = whole if loss is None else loss + whole
        return loss

    def seen_by(self, reads: frozenset[str], modules: Mapping[str, nn.Module]) -> "Step":
        """The same step as one of several methods sees it: what it reads, and its own players."""
        batches = {name: batch for name, batch in self.batches.items() if name in reads}
        return replace(self, batches=batches, modules=modules, images=self.images if "target" in reads else None)

    @property
    def _told(self) -> Moment:
        if self.moment is None:
            raise RuntimeError("a step that is recorded is not told its number, and draws nothing")
        return self.moment

    def _batch(self, name: str) -> Labelled | Unlabelled:
        if name not in self.batches:
            read = ", ".join(sorted(self.batches)) or "nothing"
            raise ValueError(f"a method sees what its `reads` names, {read}, and asked for {name}; add it to `reads`")
        return self.batches[name]

    def _labelled(self, name: str) -> Labelled:
        batch = self._batch(name)
        assert isinstance(batch, Labelled)
        return batch

    def _pass(self, name: str) -> Prediction:
        self._batch(name)
        return self.passes[name]

    def _cross_entropies(
        self, prediction: Prediction, labels: Int64[Tensor, "batch height width"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The final head's, and with the auxiliary heads'."""
        main, *auxiliary = cross_entropies((prediction.logits, *prediction.auxiliary), labels)
        whole = main
        for loss in auxiliary:
            whole = whole + self.auxiliary_weight * loss
        return main, whole


def detached(prediction: Prediction) -> Prediction:
    """A prediction without gradients."""
    auxiliary = tuple(logits.detach() for logits in prediction.auxiliary)
    return Prediction(prediction.logits.detach(), auxiliary, prediction.features.detach())
