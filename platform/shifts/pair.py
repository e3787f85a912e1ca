"""Any two domains as a shift: resized and decoded once, to the node's cache."""

import functools
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from platform.shifts.cache import LAYOUT, SPLITS, cached, splits
from platform.shifts.domain import (
    SOURCE_SPLITS,
    TARGET_SPLITS,
    UNLABELLED,
    Domain,
    check_licences,
    example,
    known,
    names_of,
    require_domain,
)
from platform.shifts.few import check_few, granted
from platform.shifts.files.codings import TRAIN_IDS, Spread
from platform.shifts.files.decoding import TOLD_AT, decoded_bytes, require_room, resized, resized_labels
from platform.shifts.labels import SINGLE_CLASSES, VOID, Groups, check_groups
from platform.shifts.shift import DataError, Shift, Splits, whole
from platform.shifts.stored import NewSplit, described
from platform.shifts.town.shift import tiny

DECODING = 1
"""Raised whenever the same domains would be decoded to other arrays."""
FULL_SIZE = "target.test"
"""The split whose labels keep their own resolution."""

logger = logging.getLogger(__name__)


def pair(
    source: Domain,
    target: Domain,
    size: tuple[int, int],
    groups: Groups = SINGLE_CLASSES,
    few: int = 0,
    licences: Mapping[str, str] | None = None,
) -> "Pair":
    """The shift from a source to a target, with images of `size` (height, width), and scores of `groups`.

    `few` of the images that are adapted to are granted with their labels. `licences` are the terms of the data, by
    domain: `--submission` passes them on, and no trial's id knows them. Raises ValueError for what is not as it says.
    """
    return Pair(
        size=whole(size), groups=whole(groups), source=source, target=target, few=whole(few), licences=licences or {}
    )


@dataclass(frozen=True)
class Pair(Shift):
    """A source and a target that are domains; the target's test labels keep their own resolution."""

    source: Domain
    target: Domain
    few: int = 0
    licences: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    name: str = field(init=False, default="", repr=False)

    def __post_init__(self) -> None:
        require_domain("pair: source", self.source)
        require_domain("pair: target", self.target)
        sides = self.size if isinstance(self.size, tuple) else ()
        if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
            raise ValueError(f"pair: size must be height and width in pixels, got {self.size!r}; say size=(512, 1024)")
        if self.source.name == self.target.name:
            raise ValueError(
                f"pair: source and target must differ by name, got {self.source.name!r} for both; rename one, since "
                "tables and messages tell them apart by it"
            )
        check_groups(self.groups)
        check_few(self.few)
        check_licences(self.licences, (self.source, self.target))
        object.__setattr__(self, "name", f"{self.source.name} to {self.target.name}")

    def identity(self) -> dict[str, Any]:
        """Size, groups, both domains' identities and the code of their classes."""
        groups = [list(group) for group in self.groups]
        few = {"few": self.few} if self.few else {}
        return {"name": self.name, "size": list(self.size), "groups": groups, **self._known, **few}

    def check(self) -> None:
        """Raise DataError where data are missing, or fewer than the labels that are granted."""
        self.source.check()
        self.target.check()
        adapted = {split: len(self._names(split)) for split in SPLITS}[f"target.{UNLABELLED}"]
        try:
            check_few(self.few, adapted)
        except ValueError as error:
            raise DataError(f"{self.target.name}: {error}") from error

    def open(self) -> Splits:
        """The splits from the node's cache; raises DataError for the first image, in order, that is wrong."""
        key = hashlib.sha256(json.dumps([list(self.size), self._known, LAYOUT], sort_keys=True).encode()).hexdigest()
        folder = cached(f"pair-{key[:16]}", self._build)
        places = {split: self._side(split)[0].name for split in SPLITS}
        if not any(described(folder, f"target.{UNLABELLED}")["pixels"][:VOID]):
            del places[f"target.{UNLABELLED}"]
        return granted(splits(folder, self.groups, places), self.few)

    def smoke(self) -> Shift:
        """The pair itself where its domains are small; else a tiny `town`, with the same groups where it draws them."""
        return self if self.source.is_small and self.target.is_small else tiny(self.groups, self.few)

    @property
    def classes(self) -> tuple[type, ...]:
        """Those of the domains."""
        return (type(self), *dict.fromkeys((*self.source.classes, *self.target.classes)))

    @functools.cached_property
    def _known(self) -> dict[str, Any]:
        """What decides every pixel and label; it travels along, as workers may have no source to read."""
        # It imports torch, which what only names a pair should not wait for.
        from platform.shifts.definition import definition

        code = definition(*self.classes)
        return {"source": known(self.source), "target": known(self.target), "code": code, "decoding": DECODING}

    def _side(self, split: str) -> tuple[Domain, str]:
        """The domain of one of the shift's splits, and its own name for it."""
        side, _, own = split.partition(".")
        return (self.source if side == "source" else self.target), own

    def _names(self, split: str) -> list[str]:
        return names_of(*self._side(split))

    def _build(self, folder: Path) -> None:
        self.check()
        self._require_planned()
        with _data_errors():
            label_sizes = dict.fromkeys(SPLITS, self.size) | {FULL_SIZE: self._full_size()}
            require_room(
                folder,
                sum(len(self._names(split)) * decoded_bytes(self.size, own) for split, own in label_sizes.items()),
            )
        images = {split: self._decode(folder, split, own) for split, own in label_sizes.items()}
        self._tell_of_seen_tests(images)
        self._require_planned()

    def _full_size(self) -> tuple[int, int]:
        """Height and width of the first label image of the test split."""
        height, width = example(*self._side(FULL_SIZE), self._names(FULL_SIZE)[0])[1].shape
        return height, width

    def _decode(self, folder: Path, split: str, label_size: tuple[int, int]) -> set[bytes]:
        """Decode a split, one image at a time, to arrays of the cache; the digests of its images."""
        domain, own = self._side(split)
        names = self._names(split)
        written = NewSplit(folder, split, len(names), self.size, label_size)
        spread, images = Spread(Path(domain.name), TRAIN_IDS), set()
        for position, name in enumerate(names):
            image, labels = example(domain, own, name)
            if split == FULL_SIZE and labels.shape != label_size:
                raise DataError(
                    f"{domain.name}: image {name!r} of {own} must have the resolution of the split's first, height x "
                    f"width {label_size[0]} x {label_size[1]}, got {labels.shape[0]} x {labels.shape[1]}; resize the "
                    "labels of the smaller ones, by the nearest pixel, or leave them out"
                )
            spread.add(Path(domain.name) / own / name, np.bincount(labels.ravel(), minlength=256))
            small = resized(Image.fromarray(image), self.size)
            images.add(hashlib.sha256(small.tobytes()).digest())
            written.put(position, small, resized_labels(labels, label_size))
            if (position + 1) % TOLD_AT == 0:
                logger.info("%s: decoded %s of %s images", split, f"{position + 1:,}", f"{len(names):,}")
        written.finish([f"{own}/{name}" for name in names], domain.origins(own))
        try:
            spread.check(lambda coding: "see whether its labels are translated to train ids", logger.warning)
        except ValueError as error:
            # No more than a word: a domain need not be of streets.
            logger.warning("%s", error)
        return images

    def _require_planned(self) -> None:
        planned = {side: self._known[side] for side in ("source", "target")}
        if {"source": known(self.source), "target": known(self.target)} != planned:
            raise DataError(
                f"the data of {self.name} are not those that this study was planned with; keep them as they are while "
                "it runs, the same on every machine, and run the command again"
            )

    def _tell_of_seen_tests(self, images: Mapping[str, set[bytes]]) -> None:
        """Say how many images of a domain's splits are in another of its splits as well."""
        for side, among in (("source", SOURCE_SPLITS), ("target", TARGET_SPLITS)):
            for later in range(1, len(among)):
                before = set().union(*(images[f"{side}.{split}"] for split in among[:later]))
                if seen := before & images[f"{side}.{among[later]}"]:
                    domain = getattr(self, side)
                    logger.warning(
                        "%s: images of %s that are in %s as well, so that scores on it are no test (%s)",
                        *(domain.name, among[later], " or ".join(among[:later]), f"{len(seen):,}"),
                    )


@contextmanager
def _data_errors() -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except ValueError as error:
        raise DataError(str(error)) from error
