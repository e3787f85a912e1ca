"""Loading a study file with what lies beside it, which it may import as a script does."""

import sys
from pathlib import Path

from platform.design import loading
from platform.design.loading import StudyFile


def load(path: Path) -> StudyFile:
    """Import a study file, which finds modules beside it last. Raises StudyFileError, whatever is wrong with it."""
    beside = str(path.parent.absolute())
    sys.path.append(beside)
    try:
        return loading.load(path)
    finally:
        # Later nothing is to be imported but what a run has copied.
        sys.path.remove(beside)
