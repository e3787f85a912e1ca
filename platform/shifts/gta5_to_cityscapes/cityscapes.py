"""Cityscapes on disk: photographs with finely annotated label ids.

Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016, arXiv:1604.01685. The archives
unpack to `leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png` and `gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png`.
"""

from pathlib import Path
from typing import Literal

from platform.shifts.files.images import IMAGE_ENDINGS, Pair, pair
from platform.shifts.files.label_images import LABEL_ENDINGS, kind_of
from platform.shifts.files.listing import LeftOut, Say, found, listed

Split = Literal["train", "val"]

IMAGE, LABELS = "_leftImg8bit", "_gtFine_labelIds"
OTHER_TRUTHS = tuple(f"*_gtFine_{kind}" for kind in ("color", "instanceIds", "instanceTrainIds", "labelTrainIds"))
"""What Cityscapes' archives and scripts put beside the label ids."""


def images(folder: Path, split: Split) -> Path:
    """The folder of a split's photographs; archives may lie in folders of their own names."""
    return found(_place(folder, "leftImg8bit"), split)


def labels(folder: Path, split: Split) -> Path:
    """The folder of a split's label images."""
    return found(_place(folder, "gtFine"), split)


def pairs(folder: Path, split: Split, least: int, say: Say) -> list[Pair]:
    """The photographs of a split in order of city and name; one without its partner raises ValueError.

    Raises TooFew where there are less than so many; `say` is told of files that look like data and are left out.
    """
    photographs = listed(images(folder, split), IMAGE_ENDINGS, _photograph)
    truth = listed(labels(folder, split), LABEL_ENDINGS, _truth)
    photographs.require(least, "images")
    truth.require(least, f"label images *{LABELS}.png")
    for own in OTHER_TRUTHS:
        del truth.left_out[own]
    photographs.tell(say)
    truth.tell(say)
    return pair(photographs.files, truth.files)


def _place(folder: Path, name: str) -> Path:
    return found(folder, name, f"{name}_trainvaltest/{name}", f"data/{name}")


def _photograph(name: str) -> str | LeftOut:
    return name.removesuffix(IMAGE) if name.endswith(IMAGE) else LeftOut(f"not named *{IMAGE}")


def _truth(name: str) -> str | LeftOut:
    stem, ending = kind_of(name)
    return stem if ending == LABELS else LeftOut(f"*{ending}" if ending else f"not named *{LABELS}")
