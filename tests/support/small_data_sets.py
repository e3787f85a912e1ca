"""GTA5 and Cityscapes, laid out as they are published, with a few small images."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from platform.shifts.labels import CLASSES

LABEL_IDS = np.array([*(entry.label_id for entry in CLASSES), 0, 34, 255], np.uint8)


def lay_out(root: Path) -> None:
    """Both data sets: 23 frames of GTA5, 12 training and 3 validation images of Cityscapes."""
    for number in range(1, 24):
        write_gta5(root, f"{number:05}")
    for number in range(6):
        write_cityscapes(root, "train", "ulm", number)
        write_cityscapes(root, "train", "aachen", number)
    for number in range(3):
        write_cityscapes(root, "val", "lindau", number)


def blocks(generator: np.random.Generator, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Label ids in blocks of 4 x 4, so that halving them loses no block."""
    return np.kron(generator.choice(LABEL_IDS, (height // 4, width // 4)), np.ones((4, 4), np.uint8))


def write_gta5(root: Path, name: str, height: int = 16, width: int = 24) -> None:
    generator = np.random.default_rng(int(name))
    for kind in ("images", "labels"):
        (root / "gta5" / kind).mkdir(parents=True, exist_ok=True)
    Image.fromarray(generator.integers(0, 256, (height, width, 3), np.uint8)).save(root / f"gta5/images/{name}.png")
    labels = Image.fromarray(blocks(generator, height, width))
    labels.putpalette([value for value in range(256) for _ in range(3)][::-1])
    labels.save(root / f"gta5/labels/{name}.png")


def write_cityscapes(root: Path, split: str, city: str, number: int, height: int = 32, width: int = 64) -> None:
    generator = np.random.default_rng([1000 + number, *city.encode()])
    image, labels = (root / "cityscapes" / kind / split / city for kind in ("leftImg8bit", "gtFine"))
    name = f"{city}_{number:06}_000019"
    for folder in (image, labels):
        folder.mkdir(parents=True, exist_ok=True)
    pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(image / f"{name}_leftImg8bit.png")
    Image.fromarray(blocks(generator, height, width)).save(labels / f"{name}_gtFine_labelIds.png")
    (labels / f"{name}_gtFine_polygons.json").write_text("{}")
