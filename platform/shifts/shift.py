"""Shifts: a labelled source, an unlabelled target, and target labels in one place named `oracle`."""

import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from platform.shifts.labels import Groups

DATA_VARIABLE = "PLATFORM_DATA"
"""The environment variable that names the folder of the data sets."""

CACHE_REMEDY = "set XDG_CACHE_HOME to the full path of a folder that can be written"
"""What to do where decoded data have no place."""
SMALLEST_SIDE = 32
"""Smallest height and width of images, in pixels: the network's deepest features are 32 times coarser."""

NOT_SAID: Mapping[str, str] = MappingProxyType({})

Pixels = npt.NDArray[np.uint8]


class DataError(ValueError):
    """Data that is missing or wrong; the message names the file, the rule and the remedy."""


class CacheDamaged(OSError):
    """What a node has decoded is not as it was written; the message names the file."""

    def __init__(self, folder: Path, split: str, file: str, what: str, position: int | None = None) -> None:
        super().__init__(f"{folder / file} is damaged: {what}")
        self.folder, self.split, self.position = folder, split, position


@runtime_checkable
class Arrays(Protocol):
    """uint8 arrays of one shape: in memory, or in a file from which they are read and verified."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Their number, and the shape of each."""

    def __len__(self) -> int:
        """Their number."""

    def __getitem__(self, positions: list[int], /) -> Pixels:
        """Those at these positions. Raises CacheDamaged."""


@dataclass(frozen=True)
class Images:
    """An unlabelled split: uint8 RGB, shape (number, height, width, 3)."""

    pixels: Arrays
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class LabelledImages:
    """A labelled split: images, and train ids as uint8, shape (number, label height, label width).

    The labels of a test split keep the ground truth's own resolution, which may exceed the images'.
    """

    images: Images
    labels: Arrays
    domains: tuple[int, ...] = ()
    """Which of several domains each image comes from, counted from 0; empty for a single one."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Oracle:
    """Target labels: for the supervised upper bound, for what is reported as `oracle/`, and for the final table."""

    adapt: LabelledImages
    val: LabelledImages
    test: LabelledImages


@dataclass(frozen=True)
class Splits:
    """The splits of a shift, in the node's cache."""

    source_train: LabelledImages
    source_val: LabelledImages
    target_adapt: Images
    """What methods adapt to."""
    target_val: Images
    """Images for selectors that need no labels; those of today do not look at images."""
    oracle: Oracle
    few: LabelledImages | None = None
    """The labelled target images that the shift grants to methods which read `few`; None without any."""

    @property
    def images(self) -> dict[str, int]:
        """How many there are of each split."""
        return {
            "source train": len(self.source_train),
            "source val": len(self.source_val),
            "target adapt": len(self.target_adapt),
            "target val": len(self.target_val),
            "target test": len(self.oracle.test),
        }


@dataclass(frozen=True)
class Shift(ABC):
    """A source and a target that differ: a frozen dataclass, cheap to make and to send; `open` gives its data."""

    size: tuple[int, int]
    """Height and width of the images that networks see."""
    groups: Groups
    """The classes that the ground truth distinguishes, as groups of train ids."""

    name = "shift"
    few = 0
    """Labelled target images that it grants."""
    licences = NOT_SAID
    """The terms of its data sets, by name, for whoever reports on a study; no trial's id knows them."""

    @property
    def classes(self) -> tuple[type, ...]:
        """The classes whose code decides what it holds."""
        return (type(self),)

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """The name, and all that decides the pixels, labels and splits, as JSON values; files count by content."""

    @abstractmethod
    def check(self) -> None:
        """Raise DataError, naming what is missing and how to get it, unless the data are on this machine."""

    @abstractmethod
    def open(self) -> Splits:
        """The splits; the first caller on a node builds the cache, others wait for it. Raises CacheDamaged."""

    @abstractmethod
    def smoke(self) -> Self | "Shift":
        """A shift of the same groups that needs no data and takes seconds, for `--smoke`."""


def whole(value: Any) -> Any:
    """A whole number, or rows of them, as Python's own, whichever library's they are; anything else as it is."""
    if getattr(value, "ndim", 0):
        value = value.tolist()
    if isinstance(value, tuple | list):
        return tuple(map(whole, value))
    try:
        return value if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return value


def cache_folder() -> Path:
    """The folder of decoded data on this machine: under XDG_CACHE_HOME, by default ~/.cache.

    A relative XDG_CACHE_HOME does not count: it would be another folder in every process. Raises DataError without any.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        base = named if named.is_absolute() else Path.home() / ".cache"
    except RuntimeError as error:
        raise DataError(f"decoded data must have a folder, got a user without a home; {CACHE_REMEDY}") from error
    return base / "domain-adaptation-platform"
