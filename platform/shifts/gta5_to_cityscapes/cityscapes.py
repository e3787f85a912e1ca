"""Cityscapes on disk: photographs with finely annotated label ids.

Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016, arXiv:1604.01685. The archives
unpack to `leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png` and `gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png`.
"""

from pathlib import Path
from typing import Literal

from platform.shifts.images import Pair, pair

Split = Literal["train", "val"]


def files(folder: Path, split: Split) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and label images by CITY/NAME."""
    return (
        _named(folder / "leftImg8bit" / split, "_leftImg8bit.png"),
        _named(folder / "gtFine" / split, "_gtFine_labelIds.png"),
    )


def pairs(folder: Path, split: Split) -> list[Pair]:
    """The photographs of a split in order of city and name; one without its partner raises ValueError."""
    return pair(*files(folder, split))


def _named(folder: Path, ending: str) -> dict[str, Path]:
    return {f"{path.parent.name}/{path.name.removesuffix(ending)}": path for path in folder.glob(f"*/*{ending}")}
