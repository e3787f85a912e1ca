"""Replay recorded searches under other settings of early stopping: `python -m platform.replay`."""

import sys

from platform.commands.before.importing import interruptible

if __name__ == "__main__":
    with interruptible():
        from platform.commands.replay import main

    sys.exit(main())
