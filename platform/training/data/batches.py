"""The batches of a training run: which images each step sees, in which style and how augmented.

Everything is a function of the run's seed and the step, so a run that goes on sees what it would have seen. A thread
reads the next step's images, as the bytes that they are, while this step is taken; the device makes numbers of them.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from platform.methods.batch import Labelled, Unlabelled
from platform.methods.composition import Composition, Memory
from platform.shifts.labels import VOID
from platform.shifts.randomness import generator
from platform.shifts.shift import Arrays, DataError, Images, LabelledImages, Splits
from platform.shifts.stored import fill, nameless, will_need
from platform.training.data.ahead import Ahead
from platform.training.data.augmentation import FLIPS, WINDOWS, augment, draw
from platform.training.data.order import PURPOSES, Order
from platform.training.data.resident import resident
from platform.training.data.transfer import SLOTS, Kind, Transfer
from platform.training.device.arithmetic import Arithmetic
from platform.training.device.memory import room_for_splits
from platform.training.recipe import Recipe

Batch = Labelled | Unlabelled
Split = Images | LabelledImages


class Unsuited(DataError):
    """Splits that methods, or a recipe, cannot be trained on, on whatever machine."""


class Batches:
    """The batches that a composition of methods and a recipe make of a shift's training splits, step by step.

    Raises Unsuited when a training split holds less than one batch, or the shift has no labels that are read.
    """

    def __init__(
        self,
        methods: Composition,
        recipe: Recipe,
        splits: Splits,
        seed: int,
        steps: int,
        device: torch.device,
    ) -> None:
        self._methods = methods
        self._recipe = recipe
        self._seed = seed
        self._splits = _read(methods, splits)
        _require_labels(methods, self._splits)
        _require_images(recipe, self._splits)
        self._layout = Arithmetic.of(device).images
        arrays = {name: _arrays(split) for name, split in self._splits.items()}
        self._resident = resident(arrays, room_for_splits(device), device)
        self._read = {name: {} if name in self._resident else each for name, each in arrays.items()}
        self.memory: Memory = {}
        """What the methods keep of target images from batch to batch."""
        shares = _shares(methods, splits) if "source" in methods.reads else None
        self._order = Order(seed, recipe, {name: len(split) for name, split in self._splits.items()}, shares)
        self._transfer = Transfer(self._kinds(), device)
        self._ahead = Ahead(self._fill, steps)
        self._awaited_device = 0.0

    @property
    def images(self) -> int:
        """How many a step has."""
        return len(self._splits) * self._recipe.batch

    @property
    def awaited(self) -> tuple[float, float]:
        """Seconds waited so far: for images to be read, and for the device to take those of earlier steps."""
        return self._ahead.waited, self._awaited_device

    def at(self, step: int) -> dict[str, Batch]:
        """The batches of a step by name: drawn, the source translated by the methods, all augmented."""
        # The thread waits for it too, before it reads: where the device is behind, that is no want of images.
        began = time.perf_counter()
        self._transfer.wait(step % SLOTS)
        self._awaited_device += time.perf_counter() - began
        positions = self._ahead.at(step)
        there = self._transfer.send(step % SLOTS)
        drawn = {name: self._drawn(name, positions[name], there) for name in self._splits}
        source, target = drawn.get("source"), drawn.get("target")
        if isinstance(source, Labelled):
            assert target is None or isinstance(target, Unlabelled)
            drawn["source"] = self._methods.translate(source, target, self.memory)
        return {name: _augmented(name, batch, there) for name, batch in drawn.items()}

    def _kinds(self) -> dict[str, Kind]:
        """What is sent to the device at each step."""
        kinds, number = {}, self._recipe.batch
        for name in self._splits:
            kinds[f"{name} positions"] = Kind((number,), torch.int64)
            for what, arrays in self._read[name].items():
                kinds[f"{name} {what}"] = Kind((number, *arrays.shape[1:]), torch.uint8)
            for what, drawn in draw(self._recipe.augmentation, number, generator(0)).items():
                kinds[f"{name} {what}"] = Kind(drawn.shape, torch.from_numpy(drawn).dtype)
        return kinds

    def _fill(self, step: int) -> dict[str, list[int]]:
        """Read what a step needs, by the thread, and have the system read what the step after it needs."""
        positions, there = self._order.at(step), self._transfer.arrays(step % SLOTS)
        for name, chosen in positions.items():
            there[f"{name} positions"][:] = chosen
            for what, arrays in self._read[name].items():
                fill(arrays, chosen, there[f"{name} {what}"])
            random = generator(self._seed, f"augment {PURPOSES[name]}", step)
            for what, drawn in draw(self._recipe.augmentation, len(chosen), random).items():
                there[f"{name} {what}"][:] = drawn
        for name, later in self._order.at(step + 1).items():
            for arrays in self._read[name].values():
                will_need(arrays, later)
        return positions

    def _drawn(self, name: str, positions: list[int], there: Mapping[str, Tensor]) -> Batch:
        images = self._numbers(self._bytes(name, "images", there))
        indices, split = torch.from_numpy(np.array(positions)), self._splits[name]
        if isinstance(split, Images):
            return Unlabelled(images, indices)
        domains = torch.tensor([split.domains[position] if split.domains else 0 for position in positions])
        return Labelled(images, self._bytes(name, "labels", there).long(), indices, domains)

    def _bytes(self, name: str, what: str, there: Mapping[str, Tensor]) -> UInt8[Tensor, "batch height width ..."]:
        if name in self._resident:
            return self._resident[name][what][there[f"{name} positions"]]
        return there[f"{name} {what}"]

    def _numbers(self, pixels: UInt8[Tensor, "batch height width 3"]) -> Float32[Tensor, "batch 3 height width"]:
        return pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=self._layout)


def _read(methods: Composition, splits: Splits) -> dict[str, Split]:
    """The splits that methods read, by the name of their batch. Raises Unsuited."""
    if "few" in methods.reads and splits.few is None:
        raise Unsuited(f"{methods.name} reads labelled target images, and the shift grants none; set few")
    read: dict[str, Split] = {}
    if "source" in methods.reads:
        read["source"] = splits.source_train
    if "oracle" in methods.reads:
        read["oracle"] = splits.oracle.adapt
    if "few" in methods.reads and splits.few is not None:
        read["few"] = splits.few
    if "target" in methods.reads:
        read["target"] = splits.target_adapt
    return read


def _require_labels(methods: Composition, splits: Mapping[str, Split]) -> None:
    """Refuse target labels that a shift does not have: void everywhere, they would train nothing without a word."""
    for name in splits.keys() & {"few", "oracle"}:
        split = splits[name]
        assert isinstance(split, LabelledImages)
        if all((split.labels[[position]] == VOID).all() for position in range(len(split))):
            raise Unsuited(f"{methods.name} reads labels of what is adapted to, which has none; leave it out")


def _require_images(recipe: Recipe, splits: Mapping[str, Split]) -> None:
    smallest = min((len(split) for name, split in splits.items() if name != "few"), default=recipe.batch)
    if smallest < recipe.batch:
        raise Unsuited(
            f"a training split must hold at least one batch of {recipe.batch} images, "
            f"it holds {smallest}; lower the recipe's batch or add images"
        )


def trained_on(methods: Composition, splits: Splits) -> Splits:
    """The splits, with the images that methods have in the place of the source's. Raises DataError."""
    source = splits.source_train
    if "source" not in methods.reads or (images := methods.source_images(_nameless(source))) is None:
        return splits
    return replace(splits, source_train=replace(source, images=Images(images, source.images.names)))


def _shares(methods: Composition, splits: Splits) -> Float[np.ndarray, " number"] | None:
    """How often each source image is drawn, None for once per epoch."""
    return methods.weights(_nameless(splits.source_train))


def _nameless(labelled: LabelledImages) -> LabelledImages:
    """The same, which do not tell where their files lie."""
    images = Images(nameless(labelled.images.pixels), labelled.images.names)
    return LabelledImages(images, nameless(labelled.labels), labelled.domains)


def _arrays(split: Split) -> dict[str, Arrays]:
    if isinstance(split, Images):
        return {"images": split.pixels}
    return {"images": split.images.pixels, "labels": split.labels}


def _augmented(name: str, batch: Batch, there: Mapping[str, Tensor]) -> Batch:
    labels = batch.labels if isinstance(batch, Labelled) else None
    images, labels = augment(batch.images, labels, there.get(f"{name} {FLIPS}"), there.get(f"{name} {WINDOWS}"))
    if isinstance(batch, Unlabelled):
        return replace(batch, images=images)
    assert labels is not None
    return replace(batch, images=images, labels=labels)


def part(batches: Mapping[str, Batch], number: int, parts: int) -> dict[str, Batch]:
    """The `number`-th of `parts` equal shares of each batch."""

    def share(batch: Batch) -> Batch:
        size = len(batch.images) // parts
        mine = slice(number * size, (number + 1) * size)
        if isinstance(batch, Unlabelled):
            return Unlabelled(batch.images[mine], batch.indices[mine])
        return Labelled(batch.images[mine], batch.labels[mine], batch.indices[mine], batch.domains[mine])

    return {name: share(batch) for name, batch in batches.items()}
