"""The file of an MLflow that keeps its runs in SQLite."""

import tempfile
from pathlib import Path

from mlflow import MlflowClient

from platform.records.storage.files import write_new

Identity = tuple[int, int]
"""A file's device and inode."""


def lay_out(file: Path) -> None:
    """Have a new store appear whole: MLflow lays it out in some fifty steps, and opens none that was cut off."""
    if file.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / file.name
        MlflowClient(tracking_uri=f"sqlite:///{new}").search_experiments(max_results=1)
        # Another study's process may have been faster.
        write_new(file, new.read_bytes())


def identity(file: Path) -> Identity:
    """Tells a file from another one in its place, and from none."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino
