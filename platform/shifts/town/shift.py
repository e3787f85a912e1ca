"""A shift that needs no data: rendered streets, the source with a game's looks, the target with a photograph's."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from platform.shifts import labels, randomness
from platform.shifts.cache import LAYOUT, SPLITS, cached, splits
from platform.shifts.few import check_few, granted
from platform.shifts.fingerprint import fingerprint
from platform.shifts.labels import Groups, check_groups, groups
from platform.shifts.randomness import generator
from platform.shifts.shift import SMALLEST_SIDE, Shift, Splits, whole
from platform.shifts.stored import NewSplit
from platform.shifts.town.domains import SOURCE, TARGET, Domain

DRAWN = groups(
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "car",
    "bus",
)
"""The classes that stand or drive in a town."""
SMOKE = 12
"""Images that are adapted to where a town stands in for another shift."""


@dataclass(frozen=True)
class Town(Shift):
    """Rendered streets; the same fields give the same bytes."""

    size: tuple[int, int] = (64, 128)
    groups: Groups = DRAWN
    source_images: tuple[int, int] = (256, 48)
    """Images in train and val."""
    target_images: tuple[int, int, int] = (256, 48, 96)
    """Images in adapt, val and test."""
    seed: int = 0
    few: int = 0

    name = "town"

    def __post_init__(self) -> None:
        check_groups(self.groups)
        _check_integers("size", self.size, ("height", "width"), SMALLEST_SIDE)
        _check_integers("source_images", self.source_images, ("train", "val"), 1)
        _check_integers("target_images", self.target_images, ("adapt", "val", "test"), 1)
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"town: seed must be an integer of at least 0, got {self.seed!r}")
        check_few(self.few, self.target_images[0])

    def identity(self) -> dict[str, Any]:
        """The fields and the renderer's fingerprint: a changed renderer is another shift, in another cache folder."""
        return {
            "name": self.name,
            "size": list(self.size),
            "groups": [list(group) for group in self.groups],
            "source_images": list(self.source_images),
            "target_images": list(self.target_images),
            "seed": self.seed,
            "renderer": _renderer(),
            **({"few": self.few} if self.few else {}),
        }

    def check(self) -> None:
        """Do nothing: no data can be missing."""

    def open(self) -> Splits:
        """The splits, in the cache; the first caller on a node renders them."""
        pixels = {name: value for name, value in self.identity().items() if name not in ("groups", "few")}
        key = hashlib.sha256(json.dumps(pixels | {"layout": LAYOUT}, sort_keys=True).encode()).hexdigest()[:12]
        folder = cached(f"town-{key}", self._build)
        return granted(splits(folder, self.groups, dict.fromkeys(SPLITS, self.name)), self.few)

    def smoke(self) -> "Town":
        """A town of a few small images."""
        return replace(
            self, size=(64, 128), source_images=(12, 4), target_images=(SMOKE, 4, 4), few=min(self.few, SMOKE)
        )

    def _build(self, folder: Path) -> None:
        for domain, counts, names in (
            (SOURCE, self.source_images, ("train", "val")),
            (TARGET, self.target_images, ("adapt", "val", "test")),
        ):
            for split, count in zip(names, counts, strict=True):
                self._render(folder, domain, split, count)

    def _render(self, folder: Path, domain: Domain, split: str, count: int) -> None:
        # The renderer and its scipy take half a second to import, which what only names the shift should not wait for.
        from platform.shifts.town.photograph import photograph
        from platform.shifts.town.street import draw

        stem = f"{domain.name}.{split}"
        written = NewSplit(folder, stem, count, self.size, self.size)
        for index in range(count):
            # Addressed by domain and split: no two splits draw the same street, and more images change no image.
            random = generator("town", self.seed, domain.name, split, index)
            canvas = draw(domain, self.size, random)
            labels = canvas.labels()
            written.put(index, photograph(canvas, domain.appearance, random), labels)
        written.finish([f"{domain.name}/{split}/{index:05d}" for index in range(count)])


def town(
    size: tuple[int, int] = (64, 128),
    source_images: tuple[int, int] = (256, 48),
    target_images: tuple[int, int, int] = (256, 48, 96),
    seed: int = 0,
    few: int = 0,
) -> Town:
    """The rendered shift; images per split are (train, val) and (adapt, val, test), `few` of adapt's with labels."""
    return Town(
        size=whole(size),
        source_images=whole(source_images),
        target_images=whole(target_images),
        seed=whole(seed),
        few=whole(few),
    )


def tiny(groups: Groups, few: int) -> Town:
    """A town of a few small images with these groups, where it draws classes of two or more; else with its own."""
    small = town().smoke()
    drawn = {member for group in small.groups for member in group}
    told_apart = sum(not drawn.isdisjoint(group) for group in groups)
    return replace(small, groups=groups if told_apart >= 2 else small.groups, few=min(few, SMOKE))


@cache
def _renderer() -> str:
    """The fingerprint of every source file that decides a pixel."""
    return fingerprint([*Path(__file__).parent.glob("*.py"), Path(randomness.__file__), Path(labels.__file__)])


def _check_integers(name: str, values: Any, parts: tuple[str, ...], least: int) -> None:
    whole = isinstance(values, tuple) and all(type(value) is int for value in values)
    if not whole or len(values) != len(parts) or min(values) < least:
        raise ValueError(f"town: {name} must be integers ({', '.join(parts)}), each at least {least}, got {values!r}")
