"""Pictures of a study."""

import os

try:
    import matplotlib as matplotlib
except ValueError:
    # A notebook names its own way of showing figures to every command that it runs, and most environments lack that.
    os.environ["MPLBACKEND"] = "agg"
    import matplotlib as matplotlib
