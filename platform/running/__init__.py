"""Ray: trials on this machine or on a cluster.

What this face holds is as good as free to import: every command ends by these codes, most of them without Ray.
"""

MACHINE_FAILED = 3
"""The exit code when the machine failed; `platform.commands.exits` has the table of all."""


def by_signal(number: int) -> int:
    """The exit code of a process that a signal ended, as shells have it."""
    return 128 + number
