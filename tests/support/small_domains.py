"""Domains of a few small images: made up, and a folder of PNG files as a study file would read it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from platform.shifts import Domain, contents, image_of, labels_of
from platform.shifts.labels import NUM_CLASSES, VOID
from platform.shifts.shift import Pixels

Read = tuple[Any, Any]


@dataclass(frozen=True)
class Invented(Domain):
    """Random colours, and blocks of random classes, about one in ten void."""

    size: tuple[int, int] = (40, 60)
    number: int = 3
    """Images of each split."""
    seed: int = 0

    def identity(self) -> dict[str, Any]:
        return {"size": self.size, "number": self.number, "seed": self.seed}

    def names(self, split: str) -> Sequence[str]:
        return [f"{number:02}" for number in range(self.number)]

    def read(self, split: str, name: str) -> tuple[Pixels, Pixels | None]:
        random = np.random.default_rng([self.seed, int(name), *split.encode()])
        height, width = self.size
        blocks = random.integers(0, NUM_CLASSES, (height // 4, width // 4), np.uint8)
        blocks[random.random(blocks.shape) < 0.1] = VOID
        return random.integers(0, 256, (*self.size, 3), np.uint8), np.kron(blocks, np.ones((4, 4), np.uint8))


@dataclass(frozen=True)
class Spoilt(Invented):
    """One of whose images is changed before it is given."""

    change: Callable[[Pixels, Pixels], object] = field(default=lambda image, labels: (image, labels))
    where: tuple[str, str] = ("train", "01")
    """Split and name of that image."""

    def read(self, split: str, name: str) -> Any:
        image, labels = super().read(split, name)
        assert labels is not None
        return self.change(image, labels) if (split, name) == self.where else (image, labels)


@dataclass(frozen=True)
class Folder(Domain):
    """`ROOT/SPLIT/images/NAME.png` and `ROOT/SPLIT/labels/NAME.png`."""

    root: Path

    def identity(self) -> dict[str, Any]:
        return {"files": contents(self.root)}

    def names(self, split: str) -> Sequence[str]:
        return sorted(path.stem for path in (self.root / split / "images").glob("*.png"))

    def read(self, split: str, name: str) -> tuple[Pixels, Pixels | None]:
        place = self.root / split
        return image_of(place / "images" / f"{name}.png"), labels_of(place / "labels" / f"{name}.png")


def write(root: Path, domain: Domain, splits: Sequence[str]) -> None:
    """Write the images of a domain as `Folder` reads them."""
    for split in splits:
        for name in domain.names(split):
            for kind, pixels in zip(("images", "labels"), domain.read(split, name), strict=True):
                folder = root / split / kind
                folder.mkdir(parents=True, exist_ok=True)
                assert pixels is not None
                Image.fromarray(pixels).save(folder / f"{name}.png")
