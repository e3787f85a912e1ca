"""Score a folder of predicted label images against ground truth: `python -m platform.score`."""

import sys

from platform.commands.score import main

if __name__ == "__main__":
    sys.exit(main())
