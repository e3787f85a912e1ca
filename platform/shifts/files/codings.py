"""The ids by which data sets name the same classes, told apart by how a whole split's pixels are spread over them.

A label image of another coding is no error to a decoder: it is other classes, without a word.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64

from platform.shifts.labels import CLASSES, LARGEST_LABEL_ID, NAMES, VOID

SHARES = {
    "road": 0.33,
    "sidewalk": 0.055,
    "building": 0.20,
    "wall": 0.006,
    "fence": 0.008,
    "pole": 0.011,
    "traffic light": 0.002,
    "traffic sign": 0.005,
    "vegetation": 0.14,
    "terrain": 0.01,
    "sky": 0.036,
    "person": 0.011,
    "rider": 0.001,
    "car": 0.062,
    "truck": 0.003,
    "bus": 0.002,
    "train": 0.002,
    "motorcycle": 0.001,
    "bicycle": 0.004,
}
"""The part of Cityscapes' pixels that each class takes, roughly; the rest is of no evaluated class."""
UNLABELLED = "unlabelled"
"""Of no evaluated class, and as likely as the road: whole regions may be left without annotation."""
RARE = 0.01
"""The part of each other one of those."""

FOREIGN = 0.15
"""Part of a split's pixels with ids that a coding does not evaluate, from which on another is thought of."""
FOREIGN_IDS, IDS = 3, 6
"""Ids of that kind, and of any, that must occur before: a few made-up colours are no evidence."""
MARGIN, ERRORS = 0.2, 4
"""By how much the log-likelihood of a pixel must be better under another coding, in nats, and by how many standard
errors more: a few pixels of made-up images are likely under many codings."""
FAMILIAR_IDS, FAMILIAR_MARGIN = 8, 0.45
"""Ids and margin where the coding evaluates every id that occurs, as train ids do: real streets in the ids of CamVid or
SYNTHIA gain 0.5 nats, made-up images of any ids up to 0.4."""
ODD_FILES, ODD = 2, 0.1
"""Files, and part of a folder's files, that may look like another coding: a garage or a tunnel is no street."""


Counts = Int64[np.ndarray, "256"]
"""Pixels of each id."""


@dataclass(frozen=True)
class Coding:
    """What ids stand for: the class of each, from 0; other names are of no evaluated class."""

    name: str
    classes: Sequence[str]

    def __str__(self) -> str:
        return f"{self.name} (road is {self.classes.index('road')})"

    @property
    def evaluated(self) -> npt.NDArray[np.bool_]:
        """Whether each id, shape (256,), stands for an evaluated class."""
        return np.array([_at(self.classes, id_) in SHARES for id_ in range(256)])

    @cached_property
    def likelihood(self) -> npt.NDArray[np.float64]:
        """The probability of each id, shape (256,), half by what streets look like and half alike for all.

        A made-up split, or one of unusual streets, is then likely enough under its own coding.
        """
        shares = SHARES | {UNLABELLED: SHARES["road"]}
        expected, alike = np.zeros(256), np.zeros(256)
        for id_, name in enumerate(self.classes):
            expected[id_] = shares.get(name, RARE) / (self.classes.count(name) if name in shares else 1)
            alike[id_] = 1 / len(self.classes)
        # What a coding does not know is not impossible: a brush slips, an image is damaged.
        likelihood: npt.NDArray[np.float64] = 0.5 * expected / expected.sum() + 0.5 * alike + 1e-7
        return likelihood


def _at(classes: Sequence[str], id_: int) -> str:
    return classes[id_] if id_ < len(classes) else ""


def _label_ids() -> tuple[str, ...]:
    names = {entry.label_id: entry.name for entry in CLASSES} | {0: UNLABELLED}
    return tuple(names.get(id_, "") for id_ in range(LARGEST_LABEL_ID + 1))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


LABEL_IDS = Coding("Cityscapes label ids", _label_ids())
TRAIN_IDS = Coding("Cityscapes train ids", NAMES)
OTHERS = (
    Coding(
        "IDD's ids",
        _names(
            "road, parking, drivable fallback, sidewalk, rail track, non-drivable fallback, person, animal, rider,"
            "motorcycle, bicycle, autorickshaw, car, truck, bus, caravan, trailer, train, vehicle fallback, curb,"
            "wall, fence, guard rail, billboard, traffic sign, traffic light, pole, polegroup, obstacle fallback,"
            "building, bridge, tunnel, vegetation, sky, fallback background, unlabelled,"
            "ego vehicle, rectification border, out of roi, licence plate"
        ),
    ),
    Coding(
        "IDD's level 3 ids",
        _names(
            "road, drivable fallback, sidewalk, non-drivable fallback, person, rider, motorcycle, bicycle,"
            "autorickshaw, car, truck, bus, vehicle fallback, curb, wall, fence, guard rail, billboard, traffic sign,"
            "traffic light, pole, obstacle fallback, building, bridge, vegetation, sky"
        ),
    ),
    Coding(
        "BDD100K's ids",
        _names(
            "unlabelled, dynamic, ego vehicle, ground, static, parking, rail track, road, sidewalk, bridge, building,"
            "fence, garage, guard rail, tunnel, wall, banner, billboard, lane divider, parking sign, pole, polegroup,"
            "street light, traffic cone, traffic device, traffic light, traffic sign, sign frame, terrain, vegetation,"
            "sky, person, rider, bicycle, bus, car, caravan, motorcycle, trailer, train, truck"
        ),
    ),
    Coding(
        "CamVid's 32 ids",
        _names(
            "animal, archway, bicycle, bridge, building, car, cart, child, pole, fence, lane marking, other marking,"
            "text, motorcycle, other moving, parking block, person, road, road shoulder, sidewalk, traffic sign, sky,"
            "suv, traffic cone, traffic light, train, vegetation, truck, tunnel, vegetation, unlabelled, wall"
        ),
    ),
    Coding(
        "CamVid's 11 ids",
        _names(
            "sky, building, pole, road, sidewalk, vegetation, traffic sign, fence, car, person, bicycle, unlabelled"
        ),
    ),
    Coding(
        "SYNTHIA's ids",
        _names(
            "unlabelled, sky, building, road, sidewalk, fence, vegetation, pole, car, traffic sign, person, bicycle,"
            "motorcycle, parking, road work, traffic light, terrain, rider, truck, bus, train, wall, lane marking"
        ),
    ),
)
"""Of IDD (Varma et al., WACV 2019), BDD100K (Yu et al., CVPR 2020, whose masks hold Cityscapes train ids), CamVid
(Brostow, Fauqueur, Cipolla, 2009; all classes in the order of their names, and the 11 of SegNet) and SYNTHIA (Ros et
al., CVPR 2016)."""


class Spread:
    """How the pixels of a folder's label images are spread over ids, and which of them speak another coding."""

    def __init__(self, place: Path, expected: Coding, predicted: bool = False) -> None:
        self._place = place
        self._expected = expected
        self._predicted = predicted
        self._files = 0
        self._pixels = np.zeros(256, np.int64)
        self._odd: list[tuple[Path, Counts]] = []

    def add(self, path: Path, pixels: Counts) -> None:
        """Count a file, of so many pixels per id, shape (256,)."""
        self._files += 1
        self._pixels += pixels
        if self._coding(pixels) is not self._expected:
            self._odd.append((path, pixels))

    def check(self, remedy: Callable[[Coding], str], say: Callable[[str], None]) -> None:
        """Raise ValueError where the folder as a whole speaks another coding than the expected one, or many files do.

        `remedy` is what helps against a coding; where few files speak another, `say` gets a line.
        """
        if (coding := self._coding(self._pixels)) is not self._expected:
            raise ValueError(f"{self._place} must hold {self._finding(self._pixels, coding)}; {remedy(coding)}")
        if not self._odd:
            return
        path, pixels = self._odd[0]
        coding = self._coding(pixels)
        more = f", as have {len(self._odd) - 1:,} more beside it" if len(self._odd) > 1 else ""
        found = f"{self._finding(pixels, coding)}{more}"
        if len(self._odd) > max(ODD_FILES, ODD * self._files):
            raise ValueError(f"{path} must hold {found}; {remedy(coding)}")
        say(f"{path} should hold {found}: see whether it is right")

    def _coding(self, pixels: Counts) -> Coding:
        return likeliest(pixels, self._expected, self._predicted)

    def _finding(self, pixels: Counts, coding: Coding) -> str:
        counts = _not_void(pixels)
        share = counts[~self._expected.evaluated].sum() / counts.sum()
        lost = f", {share:.0%} of the pixels without an evaluated class" if share else ""
        return f"{self._expected}, got ids that are spread like {coding}{lost}"


def likeliest(pixels: Counts, expected: Coding, predicted: bool = False) -> Coding:
    """The coding that pixels, counted by id, speak: the expected one, unless another explains them better.

    Predicted ones may be spread in any way over the ids that are evaluated. 255 is void in every coding.
    """
    counts = _not_void(pixels)
    foreign = (counts > 0) & ~expected.evaluated
    if foreign.any():
        known = np.count_nonzero(foreign) < FOREIGN_IDS or counts[foreign].sum() < FOREIGN * counts.sum()
        ids, margin = IDS, MARGIN
    else:
        known = predicted
        ids, margin = FAMILIAR_IDS, FAMILIAR_MARGIN
    if known or np.count_nonzero(counts) < ids:
        return expected
    found = max((LABEL_IDS, TRAIN_IDS, *OTHERS), key=lambda coding: float(counts @ np.log(coding.likelihood)))
    return found if _gain(counts, found, expected) > margin else expected


def _not_void(pixels: Counts) -> Counts:
    return np.where(np.arange(256) == VOID, 0, pixels)


def _gain(counts: Counts, coding: Coding, expected: Coding) -> float:
    """How much better a pixel's log-likelihood is under a coding than under the expected one, at least."""
    gains, number = np.log(coding.likelihood / expected.likelihood), counts.sum()
    mean = counts @ gains / number
    return float(mean - ERRORS * np.sqrt(counts @ (gains - mean) ** 2) / number)
