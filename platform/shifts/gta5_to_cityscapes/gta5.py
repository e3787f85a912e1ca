"""GTA5 on disk: frames of a game with label images whose palette index is Cityscapes' label id.

Richter, Vineet, Roth, Koltun, Playing for Data, ECCV 2016, arXiv:1608.02192. The archives unpack to
`images/00001.png ... 24966.png` and `labels/00001.png ... 24966.png`.
"""

from pathlib import Path

from platform.shifts.files.images import IMAGE_ENDINGS, Pair, pair
from platform.shifts.files.label_images import LABEL_ENDINGS, kind_of
from platform.shifts.files.listing import LeftOut, Say, found, listed

KNOWN_MISSING = frozenset(
    f"{number:05}"
    for first, last in ((2154, 2158), (4634, 4637), (7115, 7119), (9683, 9688), (12050, 12054))
    for number in range(first, last + 1)
)
"""The 25 of 24,966 frames published without one of their halves (github.com/bupt-ai-cz/IAST-ECCV2020, issue 2)."""


def images(folder: Path) -> Path:
    """The folder of the frames."""
    return found(folder, "images")


def labels(folder: Path) -> Path:
    """The folder of their label images."""
    return found(folder, "labels")


def pairs(folder: Path, least: int, say: Say) -> list[Pair]:
    """The frames in order, without those known to be missing; any other without its partner raises ValueError.

    Raises TooFew where there are less than so many; `say` is told of files that look like data and are left out.
    """
    frames = listed(images(folder), IMAGE_ENDINGS, lambda name: name)
    truth = listed(labels(folder), LABEL_ENDINGS, _truth)
    frames.require(least, "images")
    truth.require(least, "label images")
    if frames.files.keys() != truth.files.keys():
        # Archives that were unpacked in parts, or once more in folders of their own.
        frames, truth = frames.flat(), truth.flat()
    if halves := sorted(KNOWN_MISSING & (frames.files.keys() ^ truth.files.keys())):
        say(f"{folder}: left out {len(halves)} of GTA5's known missing pairs: {', '.join(halves)}")
    frames.tell(say)
    truth.tell(say)
    without = ({name: path for name, path in each.files.items() if name not in halves} for each in (frames, truth))
    return pair(*without)


def _truth(name: str) -> str | LeftOut:
    """Only plain names hold label ids: other projects keep train ids, colours and instances beside them."""
    stem, ending = kind_of(name)
    return LeftOut(f"*{ending}") if ending else stem
