"""The batches of a training run: which images each step sees, in which style and how augmented.

Everything is a function of the run's seed and the step, so a run that goes on sees what it would have seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float

from platform.methods.batch import Labelled, Unlabelled, labelled_batch, unlabelled_batch
from platform.methods.composition import Composition, Memory
from platform.shifts.labels import VOID
from platform.shifts.randomness import generator
from platform.shifts.shift import Images, LabelledImages, Splits
from platform.shifts.stored import nameless
from platform.training.data.augmentation import augment
from platform.training.recipe import Recipe

Batch = Labelled | Unlabelled


@dataclass(frozen=True)
class Batches:
    """The batches that a composition of methods and a recipe make of a shift's training splits.

    Raises ValueError when a training split holds less than one batch, or the shift has no labels that are read.
    """

    methods: Composition
    recipe: Recipe
    splits: Splits
    seed: int
    device: torch.device
    memory: Memory = field(default_factory=dict)
    """What the methods keep of target images from batch to batch."""

    def __post_init__(self) -> None:
        if "few" in self.methods.reads and self.splits.few is None:
            raise ValueError(f"{self.methods.name} reads labelled target images, and the shift grants none; set few")
        whole = [split for name, split in self._splits.items() if name != "few"]
        for name in self._splits.keys() & {"few", "oracle"}:
            self._require_labels(name)
        smallest = min(map(len, whole), default=self.recipe.batch)
        if smallest < self.recipe.batch:
            raise ValueError(
                f"a training split must hold at least one batch of {self.recipe.batch} images, "
                f"it holds {smallest}; lower the recipe's batch or add images"
            )

    def at(self, step: int) -> dict[str, Batch]:
        """The batches of a step by name: drawn, the source translated by the methods, all augmented."""
        drawn = {name: self._drawn(name, split, step) for name, split in self._splits.items()}
        source, target = drawn.get("source"), drawn.get("target")
        if isinstance(source, Labelled):
            assert target is None or isinstance(target, Unlabelled)
            drawn["source"] = self.methods.translate(source, target, self.memory)
        return {name: self._augmented(name, batch, step) for name, batch in drawn.items()}

    @cached_property
    def _splits(self) -> dict[str, Images | LabelledImages]:
        """The splits that are read, by the name of their batch."""
        reads, splits = self.methods.reads, self.splits
        read: dict[str, Images | LabelledImages] = {}
        if "source" in reads:
            read["source"] = splits.source_train
        if "oracle" in reads:
            read["oracle"] = splits.oracle.adapt
        if "few" in reads and splits.few is not None:
            read["few"] = splits.few
        if "target" in reads:
            read["target"] = splits.target_adapt
        return read

    def _require_labels(self, name: str) -> None:
        """Refuse target labels that a shift does not have: void everywhere, they would train nothing without a word."""
        split = self._splits[name]
        assert isinstance(split, LabelledImages)
        if all((split.labels[[position]] == VOID).all() for position in range(len(split))):
            raise ValueError(f"{self.methods.name} reads labels of what is adapted to, which has none; leave it out")

    @cached_property
    def _shares(self) -> Float[np.ndarray, " number"] | None:
        """How often each source image is drawn, None for once per epoch."""
        if "source" not in self.methods.reads:
            return None
        source = self.splits.source_train
        images = Images(nameless(source.images.pixels), source.images.names)
        return self.methods.weights(LabelledImages(images, nameless(source.labels), source.domains))

    def _drawn(self, name: str, split: Images | LabelledImages, step: int) -> Batch:
        shares = self._shares if name == "source" else None
        indices = self._order(_PURPOSES[name], step, len(split)) if shares is None else self._draw(shares, step)
        if isinstance(split, LabelledImages):
            labelled = labelled_batch(split, indices)
            return replace(labelled, images=labelled.images.to(self.device), labels=labelled.labels.to(self.device))
        unlabelled = unlabelled_batch(split, indices)
        return replace(unlabelled, images=unlabelled.images.to(self.device))

    def _order(self, purpose: str, step: int, length: int) -> list[int]:
        """Positions of a step's images in a split: every epoch is a permutation of the split."""
        positions = range(step * self.recipe.batch, (step + 1) * self.recipe.batch)
        epochs = {position // length for position in positions}
        orders = {epoch: generator(self.seed, purpose, epoch).permutation(length) for epoch in epochs}
        return [int(orders[position // length][position % length]) for position in positions]

    def _draw(self, shares: Float[np.ndarray, " number"], step: int) -> list[int]:
        """Positions of a step's source images, drawn by their shares, with replacement."""
        random = generator(self.seed, "weighted", step)
        return [int(position) for position in random.choice(len(shares), self.recipe.batch, p=shares)]

    def _augmented(self, name: str, batch: Batch, step: int) -> Batch:
        random = generator(self.seed, f"augment {_PURPOSES[name]}", step)
        labels = batch.labels if isinstance(batch, Labelled) else None
        images, labels = augment(batch.images, labels, self.recipe.augmentation, random)
        if isinstance(batch, Unlabelled):
            return replace(batch, images=images)
        assert labels is not None
        return replace(batch, images=images, labels=labels)


_PURPOSES = {"source": "labelled", "oracle": "labelled", "few": "few", "target": "target"}
"""What the draws of each batch are addressed by: the upper bound's are those that source only makes of the source."""


def part(batches: Mapping[str, Batch], number: int, parts: int) -> dict[str, Batch]:
    """The `number`-th of `parts` equal shares of each batch."""

    def share(batch: Batch) -> Batch:
        size = len(batch.images) // parts
        mine = slice(number * size, (number + 1) * size)
        if isinstance(batch, Unlabelled):
            return Unlabelled(batch.images[mine], batch.indices[mine])
        return Labelled(batch.images[mine], batch.labels[mine], batch.indices[mine], batch.domains[mine])

    return {name: share(batch) for name, batch in batches.items()}
