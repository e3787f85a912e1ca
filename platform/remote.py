"""A study on a cluster, from the user's machine: `python -m platform.remote run|stop|fetch`."""

from platform.commands.before.importing import interruptible, leave
from platform.commands.before.room import require_room

if __name__ == "__main__":
    require_room()
    with interruptible():
        # It loads study files, and with them PyTorch.
        from platform.commands.remote.command import main

    leave(main())
