"""The predictions that confirm runs left behind, for the picture that compares the arms."""

import io
import logging
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from platform.records.storage.files import read_plain
from platform.records.storage.storage import most_bytes
from platform.results.runs import ArmRuns

log = logging.getLogger(__name__)
Arrays = dict[str, npt.NDArray[np.uint8]]
"""`images`, `truth` and `prediction` of the same few test images, with the shapes that
`platform.results.figures.predictions.comparison` takes."""

DIMENSIONS = {"trial": 0, "images": 4, "truth": 3, "prediction": 3}
MOST_IMAGES, MOST_SIDE, LONGEST = 16, 8192, 20
"""Of an array: images, pixels of a side, and how many times as long as the other one side may be."""
BROKEN = (
    *(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, struct.error),
    *(NotImplementedError, RuntimeError, MemoryError, SyntaxError, TypeError),
)
"""What reading a file raises that is no such file."""


def predictions(runs_by_arm: Mapping[str, ArmRuns], predictions_of: Callable[[str], Path]) -> dict[str, Arrays]:
    """The arrays of each arm's complete confirm run of the lowest seed that left any; all of the same images."""
    found: dict[str, Arrays] = {}
    for arm, runs in runs_by_arm.items():
        complete = (run.ask.trial.id for run in runs.confirm if run.confusion is not None)
        left = (stored(predictions_of(trial_id)) for trial_id in complete)
        arrays = next((arrays for arrays in left if arrays), None)
        if arrays and all(np.array_equal(arrays["images"], other["images"]) for other in found.values()):
            found[arm] = arrays
    return found


def stored(path: Path) -> Arrays | None:
    """The arrays that a confirm run left in a file of its trial's folder, None without any, or with another trial's."""
    try:
        content = io.BytesIO(read_plain(path, most_bytes(path.name)))
        _check_sizes(content)
        content.seek(0)
        with np.load(content, allow_pickle=False) as file:
            # Version 0.1.0 did not say whose they are.
            if "trial" in file and str(file["trial"]) != path.parent.name:
                log.warning("%s is of trial %s, and does not count; move it there, or remove it", path, file["trial"])
                return None
            return {name: file[name] for name in ("images", "truth", "prediction")}
    except BROKEN:
        return None  # absent, or torn by a crash: the table is worth more than one column of its picture


def _check_sizes(content: io.BytesIO) -> None:
    """Raise ValueError for arrays that no confirm run leaves, by what they say of themselves, before they are read."""
    with zipfile.ZipFile(content) as archive:
        for name, dimensions in DIMENSIONS.items():
            if name == "trial" and f"{name}.npy" not in archive.namelist():
                continue
            with archive.open(f"{name}.npy") as file:
                if np.lib.format.read_magic(file) != (1, 0):
                    raise ValueError(name)
                shape, _, kind = np.lib.format.read_array_header_1_0(file)
            sides = shape[1:3]
            text = kind.kind == "U" and kind.itemsize <= MOST_SIDE
            if len(shape) != dimensions or not (text if name == "trial" else kind == np.uint8):
                raise ValueError(name)
            if sides and not (1 <= min(sides) <= max(sides) <= min(MOST_SIDE, LONGEST * min(sides))):
                raise ValueError(name)
            if (shape and not 1 <= shape[0] <= MOST_IMAGES) or (name == "images" and shape[3] != 3):
                raise ValueError(name)
