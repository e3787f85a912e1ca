"""The exit codes with which a running study ends its own process; `commands/exits.py` has the table of all."""

MACHINE_FAILED = 3


def by_signal(number: int) -> int:
    """The exit code of a process that a signal ended, as shells have it."""
    return 128 + number
