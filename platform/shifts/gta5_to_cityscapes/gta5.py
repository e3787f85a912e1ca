"""GTA5 on disk: frames of a game with label images whose palette index is Cityscapes' label id.

Richter, Vineet, Roth, Koltun, Playing for Data, ECCV 2016, arXiv:1608.02192. The archives unpack to
`images/00001.png ... 24966.png` and `labels/00001.png ... 24966.png`.
"""

import logging
from pathlib import Path

from platform.shifts.images import Pair, pair

KNOWN_MISSING = frozenset(
    f"{number:05}"
    for first, last in ((2154, 2158), (4634, 4637), (7115, 7119), (9683, 9688), (12050, 12054))
    for number in range(first, last + 1)
)
"""The 25 of 24,966 frames published without one of their halves (github.com/bupt-ai-cz/IAST-ECCV2020, issue 2)."""

logger = logging.getLogger(__name__)


def files(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and label images by the frame's number."""
    images, labels = ({path.stem: path for path in (folder / kind).glob("*.png")} for kind in ("images", "labels"))
    return images, labels


def pairs(folder: Path) -> list[Pair]:
    """The frames in order; those known to be missing are reported and left out, any other raises ValueError."""
    images, labels = files(folder)
    if halves := sorted(KNOWN_MISSING & (images.keys() ^ labels.keys())):
        logger.warning("%s: left out %d of GTA5's known missing pairs: %s", folder, len(halves), ", ".join(halves))
    images, labels = ({name: path for name, path in kind.items() if name not in halves} for kind in (images, labels))
    return pair(images, labels)
