"""Judge selectors by recorded trials: `python -m platform.audit`."""

import sys

from platform.commands.audit import main

if __name__ == "__main__":
    sys.exit(main())
