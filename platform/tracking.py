"""Copy studies from their records into MLflow: `python -m platform.tracking`."""

from platform.commands.before.importing import interruptible, leave

if __name__ == "__main__":
    with interruptible():
        from platform.commands.tracking import main

    leave(main())
