"""Score a folder of predicted label images against ground truth: `python -m platform.score`."""

import sys

from platform.commands.before.importing import interruptible

if __name__ == "__main__":
    with interruptible():
        from platform.commands.score import main

    sys.exit(main())
