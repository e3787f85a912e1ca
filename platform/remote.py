"""A study on a cluster, from the user's machine: `python -m platform.remote run|stop|fetch`."""

import sys

from platform.commands.remote.command import main

if __name__ == "__main__":
    sys.exit(main())
