"""A study with a shift and a method of its own, whose helpers lie in a file beside it."""

HELPER = '''"""What the study's classes need."""

from platform.methods import SourceOnly

LEVELS = [50, 100]


class Helped(SourceOnly):
    """The base of the study's own method."""

    def losses(self, step):
        return {name: loss / len(LEVELS) for name, loss in super().losses(step).items()}
'''

STUDY = '''"""Do stripes differ?"""

import functools
from dataclasses import dataclass
from typing import Any

import helper
import numpy as np

from platform.methods import SourceOnly
from platform.networks import BiSeNet18
from platform.shifts.shift import Images, LabelledImages, Oracle, Shift, Splits
from platform.study import Arm, Budget, Recipe, Study

COUNT = 4


@functools.cache
def drawn(seed: int) -> LabelledImages:
    labels = np.random.default_rng(seed).integers(0, 2, (COUNT, 32, 64), dtype=np.uint8)
    pixels = np.repeat((helper.LEVELS[0] + helper.LEVELS[1] * labels)[..., None], 3, axis=3).astype(np.uint8)
    return LabelledImages(Images(pixels, tuple(f"{seed}-{number}" for number in range(COUNT))), labels)


@dataclass(frozen=True)
class Stripes(Shift):
    """Images of noise in memory."""

    name = "stripes"

    @functools.cached_property
    def levels(self) -> list[int]:
        return helper.LEVELS

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "size": self.size, "groups": self.groups, "levels": self.levels}

    def check(self) -> None:
        pass

    def open(self) -> Splits:
        adapt, val, test = (drawn(seed) for seed in (2, 3, 4))
        return Splits(drawn(0), drawn(1), adapt.images, val.images, Oracle(adapt, val, test))

    def smoke(self) -> Shift:
        return self


class Mine(helper.Helped):
    """The helper's, as it is."""


study = Study(
    shift=Stripes((32, 64), ((0,), (1,))),
    arms={"source only": Arm(SourceOnly), "mine": Arm(Mine)},
    reference="source only",
    budget=Budget(steps=4, evaluations=2),
    seeds=2,
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=2),
)
'''
"""Its first arm has a method of the package: nothing but the shift, then, makes workers need what the file defines."""
