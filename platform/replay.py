"""Replay recorded searches under other settings of early stopping: `python -m platform.replay`."""

import sys

from platform.commands.replay import main

if __name__ == "__main__":
    sys.exit(main())
