"""From a game to photographs: GTA5 to Cityscapes, read from a folder that holds `gta5/` and `cityscapes/`."""

import contextlib
import functools
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from platform.shifts.cache import LAYOUT, cached, splits
from platform.shifts.few import check_few, granted
from platform.shifts.files.codings import LABEL_IDS, Spread
from platform.shifts.files.content import digests
from platform.shifts.files.decoding import PairedFiles, decode, label_size, require_space
from platform.shifts.files.images import Pair
from platform.shifts.files.listing import Say, TooFew, found
from platform.shifts.gta5_to_cityscapes import cityscapes, gta5
from platform.shifts.labels import SINGLE_CLASSES, Groups, check_groups
from platform.shifts.shift import DATA_VARIABLE, DataError, Shift, Splits, whole
from platform.shifts.town.shift import tiny

MOST_HELD_OUT = 250
"""A tenth of the source and of the target's images is held out, but no more than this."""

DECODING = 2
"""Raised whenever the same files would be decoded to other arrays."""

EXPECTED = (
    f"set {DATA_VARIABLE} or pass --data with a folder that holds gta5/images and gta5/labels "
    "(from https://download.visinf.tu-darmstadt.de/data/from_games) and cityscapes/leftImg8bit and cityscapes/gtFine "
    "(leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from https://www.cityscapes-dataset.com)"
)

logger = logging.getLogger(__name__)


def gta5_to_cityscapes(
    root: Path | str | None = None,
    size: tuple[int, int] = (512, 1024),
    groups: Groups = SINGLE_CLASSES,
    few: int = 0,
) -> "GTA5ToCityscapes":
    """GTA5 to Cityscapes with images of `size` (height, width), `few` of those that are adapted to with their labels.

    `root` defaults to the environment variable PLATFORM_DATA, read when this is called; a plan needs no data.
    Raises ValueError when the size is not two positive integers.
    """
    root = root or os.environ.get(DATA_VARIABLE)
    place = Path(root).expanduser().absolute() if root else None
    return GTA5ToCityscapes(size=whole(size), groups=whole(groups), root=place, few=whole(few))


@dataclass(frozen=True)
class GTA5ToCityscapes(Shift):
    """GTA5 to Cityscapes: neighbouring frames look alike, so splits are blocks of names in order, never drawn.

    source train, val    GTA5 without its last tenth, and that tenth (at most 250 frames)
    target adapt, val    Cityscapes train without its last tenth, and that tenth (at most 250)
    target test          Cityscapes val, its labels at their own resolution
    """

    root: Path | None
    """The folder that holds `gta5/` and `cityscapes/`; a plan needs none."""
    few: int = 0

    name = "gta5_to_cityscapes"

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, tuple) else ()
        if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
            raise ValueError(f"size must be height and width in pixels, got {self.size!r}; the default is (512, 1024)")
        check_groups(self.groups)
        check_few(self.few)

    def identity(self) -> dict[str, Any]:
        """Size, groups, and the digest of the files' contents: None where there are no files.

        Each file is read once; raises DataError for one that cannot be read.
        """
        groups = [list(group) for group in self.groups]
        known = {"name": self.name, "size": list(self.size), "groups": groups, "data": self._data, "decoding": DECODING}
        return known | ({"few": self.few} if self.few else {})

    def check(self) -> None:
        """Raise DataError when a folder is missing or empty, or a file has no partner; files are read by `open`.

        What looks like data and is left out is logged.
        """
        if self.root is None:
            raise DataError(f"GTA5 to Cityscapes needs its data, got no folder; {EXPECTED}")
        if not self.root.is_dir():
            raise DataError(f"the data folder {self.root} does not exist; {EXPECTED}")
        self._pairs(self.root, logger.warning)

    def open(self) -> Splits:
        """The splits from the node's cache; raises DataError for the first file, in order, that is not as published."""
        # By the files' digest: once decoded, nobody needs to look at 55,000 files, perhaps on a slow share.
        key = hashlib.sha256(json.dumps([list(self.size), self._data, DECODING, LAYOUT]).encode()).hexdigest()[:16]
        folder = cached(f"{self.name}-{key}", self._build)
        return granted(splits(folder, self.groups, self._places()), self.few)

    def smoke(self) -> Shift:
        """A tiny `town` with the same groups, where it draws classes of two or more of them."""
        return tiny(self.groups, self.few)

    @functools.cached_property
    def _data(self) -> str | None:
        """What decides every pixel and label of every split, hashed: the same wherever the data lie."""
        if self.root is None or not self.root.is_dir():
            return None
        return _digest(self.root, self._pairs(self.root))

    def _places(self) -> dict[str, Path]:
        """The folder of each split's labels."""
        target = self._cityscapes
        source, train = gta5.labels(self._gta5), cityscapes.labels(target, "train")
        return {
            "source.train": source,
            "source.val": source,
            "target.adapt": train,
            "target.val": train,
            "target.test": cityscapes.labels(target, "val"),
        }

    @property
    def _gta5(self) -> Path:
        return found(self.root or Path(), "gta5", "gta")

    @property
    def _cityscapes(self) -> Path:
        return found(self.root or Path(), "cityscapes")

    def _pairs(self, root: Path, say: Say = lambda line: None) -> dict[str, list[Pair]]:
        """The pairs of each split."""
        game, photographs = self._gta5, self._cityscapes
        with _data_errors():
            source = gta5.pairs(game, 2, say)
            target = cityscapes.pairs(photographs, "train", 2, say)
            test = cityscapes.pairs(photographs, "val", 1, say)
        source_train, source_val = _hold_out(source)
        adapt, val = _hold_out(target)
        return {
            "source.train": source_train,
            "source.val": source_val,
            "target.adapt": adapt,
            "target.val": val,
            "target.test": test,
        }

    def _build(self, folder: Path) -> None:
        if self.root is None or not self.root.is_dir():
            self.check()
        assert self.root is not None
        with _data_errors():
            pairs_of = self._pairs(self.root)
            self._require_planned(self.root, pairs_of)
            files = [PairedFiles(split, pairs, self.size, self.size) for split, pairs in pairs_of.items()]
            test = files[-1]
            files[-1] = replace(test, label_size=label_size(test.pairs[0]), full_size=True)
            require_space(folder, files)
            places = self._places()
            spreads = {place: Spread(place, LABEL_IDS) for place in places.values()}
            for each in files:
                decode(folder, each, spreads[places[each.name]])
            for spread in spreads.values():
                spread.check(lambda coding: "convert these files, or bring those as published", logger.warning)
            _tell_of_seen_tests(self.root, pairs_of)
            self._require_planned(self.root, pairs_of)

    def _require_planned(self, root: Path, pairs_of: Mapping[str, Sequence[Pair]]) -> None:
        if _digest(root, pairs_of) != self._data:
            raise DataError(
                f"the files in {root} are not those that this study was planned with; "
                "keep them as they are while it runs, the same on every machine, and run the command again"
            )


def _hold_out(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    held_out = min(MOST_HELD_OUT, max(1, len(pairs) // 10))
    return list(pairs[:-held_out]), list(pairs[-held_out:])


def _digest(root: Path, pairs_of: Mapping[str, Sequence[Pair]]) -> str:
    """The contents of all files, in the order of their splits, hashed."""
    files = [(split, pair) for split, pairs in pairs_of.items() for pair in pairs]
    with _data_errors():
        hashed = digests(root, [path for _, pair in files for path in pair[1:]])
    lines = [
        f"{split} {image} {labels}" for (split, _), image, labels in zip(files, hashed[::2], hashed[1::2], strict=True)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _tell_of_seen_tests(root: Path, pairs_of: Mapping[str, Sequence[Pair]]) -> None:
    """Say how many test images methods adapt to as well, or trials are judged on: their scores are no test."""
    known = {
        split: set(digests(root, [pair.image for pair in pairs_of[split]]))
        for split in ("target.adapt", "target.val", "target.test")
    }
    if seen := known["target.test"] & (known["target.adapt"] | known["target.val"]):
        logger.warning("%s: test images that are in train as well, copied or linked (%s)", root, f"{len(seen):,}")


@contextlib.contextmanager
def _data_errors() -> Iterator[None]:
    try:
        yield
    except TooFew as error:
        raise DataError(f"{error}; {EXPECTED}") from error
    except ValueError as error:
        raise DataError(str(error)) from error
