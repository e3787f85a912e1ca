"""Score a folder of predicted label images against ground truth: `python -m platform.score`."""

from platform.commands.before.importing import interruptible, leave

if __name__ == "__main__":
    with interruptible():
        from platform.commands.score import main

    leave(main())
