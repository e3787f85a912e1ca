"""Judge selectors by recorded trials: `python -m platform.audit`."""

import sys

from platform.commands.before.importing import interruptible

if __name__ == "__main__":
    with interruptible():
        from platform.commands.audit import main

    sys.exit(main())
