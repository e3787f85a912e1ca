"""Predictions as confirm trials leave them, for the picture that compares rows."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from platform.records.store import PREDICTIONS


def picture(folder: Path, value: int, images: npt.NDArray[np.uint8] | None = None) -> None:
    """Leave predictions of one class in a trial's folder."""
    folder.mkdir(parents=True)
    images = np.full((2, 16, 32, 3), 90, np.uint8) if images is None else images
    truth = np.zeros((2, 32, 64), np.uint8)
    np.savez(folder / PREDICTIONS, images=images, truth=truth, prediction=np.full_like(truth, value))
