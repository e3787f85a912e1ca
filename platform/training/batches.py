"""The batches of a training run: which images each step sees, in which style and how augmented.

Everything is a function of the run's seed and the step, so a run that goes on sees what it would have seen.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from platform.methods.batch import Labelled, Unlabelled, labelled_batch, unlabelled_batch
from platform.methods.method import Method, Step
from platform.shifts.randomness import generator
from platform.shifts.shift import Images, LabelledImages, Splits
from platform.training.augmentation import augment
from platform.training.recipe import Recipe


@dataclass(frozen=True)
class Batches:
    """The batches that a method and a recipe make of a shift's training splits.

    Raises ValueError when a training split holds less than one batch.
    """

    method: Method
    recipe: Recipe
    splits: Splits
    seed: int
    device: torch.device
    memory: MutableMapping[int, Float[Tensor, "..."]] = field(default_factory=dict)
    """What the method keeps of target images from batch to batch."""

    def __post_init__(self) -> None:
        smallest = min(len(split) for split in (self.labelled, self.target) if split is not None)
        if smallest < self.recipe.batch:
            raise ValueError(
                f"a training split must hold at least one batch of {self.recipe.batch} images, "
                f"it holds {smallest}; lower the recipe's batch or add images"
            )

    @property
    def labelled(self) -> LabelledImages:
        """The split whose labels train the network."""
        return self.splits.source_train if self.method.labelled == "source" else self.splits.oracle.adapt

    @property
    def target(self) -> Images | None:
        """The unlabelled target; None for methods that do not look at it."""
        return self.splits.target_adapt if self.method.sees_target else None

    def at(self, step: int) -> tuple[Labelled, Unlabelled | None]:
        """The labelled and the unlabelled batch of a step: drawn, translated by the method, augmented."""
        drawn = labelled_batch(self.labelled, self._order("labelled", step, len(self.labelled)))
        source = Labelled(drawn.images.to(self.device), drawn.labels.to(self.device), drawn.indices)
        target = None
        if self.target is not None:
            unlabelled = unlabelled_batch(self.target, self._order("target", step, len(self.target)))
            target = replace(unlabelled, images=unlabelled.images.to(self.device))
        translated = replace(source, images=self.method.translate(source, target, self.memory))
        return self._augment_labelled(translated, step), self._augment_target(target, step)

    def _order(self, purpose: str, step: int, length: int) -> list[int]:
        """Positions of a step's images in a split: every epoch is a permutation of the split."""
        positions = range(step * self.recipe.batch, (step + 1) * self.recipe.batch)
        epochs = {position // length for position in positions}
        orders = {epoch: generator(self.seed, purpose, epoch).permutation(length) for epoch in epochs}
        return [int(orders[position // length][position % length]) for position in positions]

    def _augment_labelled(self, batch: Labelled, step: int) -> Labelled:
        random = generator(self.seed, "augment labelled", step)
        images, labels = augment(batch.images, batch.labels, self.recipe.augmentation, random)
        assert labels is not None
        return replace(batch, images=images, labels=labels)

    def _augment_target(self, batch: Unlabelled | None, step: int) -> Unlabelled | None:
        if batch is None:
            return None
        random = generator(self.seed, "augment target", step)
        return replace(batch, images=augment(batch.images, None, self.recipe.augmentation, random)[0])


def part(step: Step, number: int, parts: int) -> Step:
    """The `number`-th of `parts` equal shares of a step's images, with a place of its own for what is noted."""
    size = len(step.source.images) // parts
    mine = slice(number * size, (number + 1) * size)
    source, target = step.source, step.target
    return replace(
        step,
        source=Labelled(source.images[mine], source.labels[mine], source.indices[mine]),
        target=None if target is None else Unlabelled(target.images[mine], target.indices[mine]),
        noted={},
    )
