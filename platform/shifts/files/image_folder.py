"""Images of a folder that stand in for a split's: found by the split's names, decoded once to the node's cache."""

import functools
import hashlib
import json
import logging
import math
import os
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from platform.shifts.cache import LAYOUT, cached, discard
from platform.shifts.files import listing
from platform.shifts.files.content import contents
from platform.shifts.files.decoding import TOLD_AT, require_room, resized
from platform.shifts.files.images import IMAGE_ENDINGS, NAMED, read_image
from platform.shifts.shift import DATA_VARIABLE, Arrays, CacheDamaged, DataError
from platform.shifts.stored import NewSplit, Stored, described

DECODING = 1
"""Raised whenever the same files would be decoded to other arrays."""
SPLIT = "translated"
MOST_STRETCHED = 1.6
"""GTA5's frames become 1.1 times as wide at 2 to 1, SYNTHIA's 1.2 times; a square that was cut out, twice as wide."""

logger = logging.getLogger(__name__)


def placed(folder: str) -> Path:
    """Where a folder lies: one that is no full path, in the folder of the data sets. Raises DataError without any."""
    path, root = Path(folder).expanduser(), os.environ.get(DATA_VARIABLE)
    if not path.is_absolute() and not root:
        raise DataError(
            f"a folder must be a full path, or lie in the folder of the data sets, got {folder!r} and none; set "
            f"{DATA_VARIABLE} or pass --data, or write the full path"
        )
    return Path(root or "").expanduser().absolute() / path


@functools.cache
def digest_of(folder: Path) -> str:
    """What decides every pixel of a folder's images: the same wherever it lies, as it was when it was first asked for.

    A study asks with every trial, and 25,000 files take a while to look at. Raises DataError without the folder.
    """
    return _digest(folder)


def images_of(folder: Path, digest: str, names: Sequence[str], size: tuple[int, int]) -> Arrays:
    """The images of a folder with this digest that have these names, in their order, at a size (height, width).

    A name counts without the ending of an image, and without folders where it tells the images apart by itself. Raises
    DataError for what is missing, damaged, or not as wide as it should be.
    """
    key = hashlib.sha256(json.dumps([digest, *names, list(size), LAYOUT]).encode()).hexdigest()[:16]

    def opened() -> Stored:
        decoded = cached(f"{SPLIT}-{key}", lambda into: _decode(into, folder, digest, names, size))
        return Stored(decoded, SPLIT, "images", described(decoded, SPLIT)["images"])

    try:
        return opened()
    except CacheDamaged as damage:
        discard(damage, logger.warning)
    return opened()


def _digest(folder: Path) -> str:
    try:
        found = contents(folder)
        holds = found and any(path.suffix.lower()[1:] in IMAGE_ENDINGS for path in listing.everything(folder))
    except ValueError as error:
        raise DataError(str(error)) from error
    if not holds:
        raise DataError(
            f"a folder of translated images must be there, and hold them, got {folder}: {listing.contents(folder)}; "
            "bring it, or name another"
        )
    return f"{found}-{DECODING}"


def _decode(into: Path, folder: Path, digest: str, names: Sequence[str], size: tuple[int, int]) -> None:
    try:
        files = _files(folder, names)
        require_room(into, len(files) * 3 * math.prod(size))
        written = NewSplit(into, SPLIT, len(files), size)

        def fill(position: int) -> None:
            image = read_image(files[position])
            _require_whole(files[position], image.size, size)
            written.put(position, resized(image, size))

        # Pillow decodes and resizes without holding the interpreter's lock.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for number, _ in enumerate(pool.map(fill, range(len(files))), start=1):
                if number % TOLD_AT == 0:
                    logger.info("%s: decoded %s of %s images", folder, f"{number:,}", f"{len(files):,}")
    except ValueError as error:
        raise DataError(str(error)) from error
    written.finish(names)
    if _digest(folder) != digest:
        raise DataError(
            f"the files in {folder} are not those that this study was planned with; keep them as they are while it "
            "runs, the same on every machine, and run the command again"
        )


def _files(folder: Path, names: Sequence[str]) -> list[Path]:
    """The file of each name."""
    held, wanted = listing.listed(folder, IMAGE_ENDINGS, lambda name: name), [*map(_without_ending, names)]
    own = [name.rpartition("/")[2] for name in wanted]
    if len(set(own)) == len(own):
        held, wanted = held.flat(), own
    if missing := [name for name in wanted if name not in held.files]:
        more = f" and {len(missing) - NAMED:,} more" if len(missing) > NAMED else ""
        raise ValueError(
            f"{folder} must hold an image of the same name for each of the source's {len(names):,}, got none for "
            f"{', '.join(missing[:NAMED])}{more}: {listing.contents(folder)}; translate these too, or name the files so"
        )
    return [held.files[name] for name in wanted]


def _without_ending(name: str) -> str:
    stem, _, ending = unicodedata.normalize("NFC", name).rpartition(".")
    return stem if stem and ending.lower() in IMAGE_ENDINGS else unicodedata.normalize("NFC", name)


def _require_whole(path: Path, image: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuse what was cut out of an image, which does not lie on that image's labels."""
    (width, height), (rows, columns) = image, size
    if not 1 / MOST_STRETCHED <= width / height * rows / columns <= MOST_STRETCHED:
        raise ValueError(
            f"{path} must be a whole image of the source, about as wide as {columns} x {rows}, got {width} x {height}; "
            "translate whole images, or resize whole ones to that size"
        )
