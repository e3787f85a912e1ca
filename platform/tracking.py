"""Copy studies from their records into MLflow: `python -m platform.tracking`."""

import sys

from platform.commands.tracking import main

if __name__ == "__main__":
    sys.exit(main())
