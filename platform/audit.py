"""Judge selectors by recorded trials: `python -m platform.audit`."""

from platform.commands.before.importing import interruptible, leave

if __name__ == "__main__":
    with interruptible():
        from platform.commands.audit import main

    leave(main())
