"""The predictions that confirm runs left behind, for the picture that compares the arms."""

import logging
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from platform.results.runs import ArmRuns

log = logging.getLogger(__name__)
Arrays = dict[str, npt.NDArray[np.uint8]]
"""`images`, `truth` and `prediction` of the same few test images, with the shapes that
`platform.results.figures.predictions.comparison` takes."""


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
        with np.load(path, allow_pickle=False) as file:
            # Version 0.1.0 did not say whose they are.
            if "trial" in file and str(file["trial"]) != path.parent.name:
                log.warning("%s is of trial %s, and does not count", path, file["trial"])
                return None
            return {name: file[name] for name in ("images", "truth", "prediction")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # absent, or torn by a crash: the table is worth more than one column of its picture
