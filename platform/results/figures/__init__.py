"""Pictures of a study."""

import os
from contextlib import suppress

# A notebook names its own way of showing figures to every command that it runs. Most environments lack that, and
# matplotlib would refuse to be imported, at the end of a study.
_named = os.environ.pop("MPLBACKEND", None)
import matplotlib as matplotlib  # noqa: E402

if _named is not None:
    os.environ["MPLBACKEND"] = _named
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = _named
