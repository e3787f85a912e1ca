"""Which images each step sees: a function of the run's seed, and of the epoch or the step."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from platform.records.one_line import one_line
from platform.shifts.randomness import generator
from platform.training.recipe import Recipe

PURPOSES = {"source": "labelled", "oracle": "labelled", "few": "few", "target": "target"}
"""What the draws of each batch are addressed by: the upper bound's are those that source only makes of the source."""


@dataclass(frozen=True, eq=False)
class Order:
    """The positions of images in the splits that a run reads, by the name of their batch."""

    seed: int
    recipe: Recipe
    """Whose `order` an epoch has, in batches of its size."""
    lengths: Mapping[str, int]
    """Images in each split."""
    shares: Float[np.ndarray, " number"] | None
    """How often each source image is drawn, with replacement; None for once per epoch."""

    def at(self, step: int) -> dict[str, list[int]]:
        """The positions of a step's images: every epoch is a permutation of a split."""
        return {name: self._positions(name, length, step) for name, length in self.lengths.items()}

    def _positions(self, name: str, length: int, step: int) -> list[int]:
        if name == "source" and self.shares is not None:
            random = generator(self.seed, "weighted", step)
            return [int(position) for position in random.choice(length, self.recipe.batch, p=self.shares)]
        places = range(step * self.recipe.batch, (step + 1) * self.recipe.batch)
        return [
            int(_permutation(self.recipe, self.seed, PURPOSES[name], place // length, length)[place % length])
            for place in places
        ]


# An epoch's is needed at every step of it; of a few batches two epochs', and of small splits one in every step.
@functools.lru_cache(maxsize=16)
def _permutation(recipe: Recipe, seed: int, purpose: str, epoch: int, length: int) -> Int64[np.ndarray, " length"]:
    order = np.asarray(recipe.order(seed, purpose, epoch, length))
    if not np.array_equal(np.sort(order, axis=None), np.arange(length)):
        raise ValueError(
            f"{type(recipe).__name__}.order must give each position from 0 to {length - 1} once, got "
            f"{one_line(repr(order), 100)}; return a permutation, as range(length)"
        )
    return order.astype(np.int64)
