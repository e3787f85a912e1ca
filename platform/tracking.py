"""Copy studies from their records into MLflow: `python -m platform.tracking`."""

import sys

from platform.commands.before.importing import interruptible

if __name__ == "__main__":
    with interruptible():
        from platform.commands.tracking import main

    sys.exit(main())
