"""Replay recorded searches under other settings of early stopping: `python -m platform.replay`."""

from platform.commands.before.importing import interruptible, leave

if __name__ == "__main__":
    with interruptible():
        from platform.commands.replay import main

    leave(main())
