"""The identity of the code that trains: part of a trial's id."""

import errno
import functools
import importlib.metadata
import os
from pathlib import Path

from platform.records.provenance import package
from platform.shifts.definition import definition
from platform.shifts.fingerprint import digest, meanings

TRAINING_CODE = (
    "methods/**/*.py",
    "networks/**/*.py",
    "training/**/*.py",
    "scores/metrics.py",
    "shifts/few.py",
    "shifts/labels.py",
    "shifts/randomness.py",
)
"""What, besides the data of a shift, decides a trial's numbers, as patterns below `platform/`."""
DECIDES_NO_NUMBER = (
    "methods/spelling.py",
    "networks/cost.py",
    "training/code.py",
    "training/cost/*.py",
)
"""Files among these that decide no number: a better word in an error must not make anybody train again."""


def training_files() -> list[Path]:
    """The files whose code is part of every trial's id."""
    other = {file for pattern in DECIDES_NO_NUMBER for file in package().glob(pattern)}
    return [file for pattern in TRAINING_CODE for file in sorted(package().glob(pattern)) if file not in other]


def training_code(*classes: type) -> str:
    """12 digits that change with the code that trains and evaluates, with the classes' own, or with torch's version.

    See `platform.shifts.fingerprint` and `platform.shifts.definition` for what counts. Raises ValueError for classes
    of the user's own that lead to what cannot be followed.
    """
    return code_with(definition(*classes))


@functools.cache
def code_with(own: str) -> str:
    """The `training_code` of classes with this definition, by the code that this process imports."""
    return digest(*_packages_meanings(), importlib.metadata.version("torch"), *([own] if own else []))


@functools.cache
def _packages_meanings() -> tuple[str, ...]:
    """What the package's files say, read once: later they may be gone, and an id made without them names no code."""
    if not (files := training_files()):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(package()))
    return tuple(meanings(files))
